"""A server that answers what a test wants, for providers and proxies that misbehave, and remembers what it was asked."""
import http.server
import json
import threading


class OddServer:
    """
    `answer` (a callable, given the handler) writes the bytes of each answer; by default it is a session without end.
    """

    def __init__(self, answer=None):
        self.asked = []  # (method, target, headers, body)
        self.answer = answer or answer_session()
        odd = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                odd.asked.append((self.command, self.path, dict(self.headers), body.decode()))
                self.close_connection = True
                try:
                    odd.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it had enough

            do_GET = do_POST = do_PUT = do_CONNECT = handle_any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def answer_bytes(body, status="200 OK", headers="", length=None):
    """An answer whose Content-Length may be a lie."""
    body = body if isinstance(body, bytes) else body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n{headers}\r\n"
    return lambda handler: handler.wfile.write(head.encode() + body)


SESSION = {"Code": "Success", "AccessKeyId": "STS.odd", "AccessKeySecret": "odd-secret", "SecurityToken": "odd-token",
           "Expiration": "2099-01-02T03:04:05Z"}


def answer_session(**changed):
    """The good session, with members changed or, where they are ..., left out."""
    members = {name: value for name, value in {**SESSION, **changed}.items() if value is not ...}
    return answer_bytes(json.dumps(members))
