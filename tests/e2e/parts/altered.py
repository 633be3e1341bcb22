"""A proxy between aapfs and the emulator that changes what KMS answers."""
import http.client
import http.server
import json
import threading


class Altered:
    """
    CHANGE(operation, answer) is called with the decoded body of each good answer, and may change it. DATE: what the Date
    header says instead, or None. INSTEAD(operation) is (status, body) to answer with after the work is done, or None.
    REFUSED(operation, status, content) is (status, content) for an answer that is not good. At URL.
    """

    def __init__(self, port, change=lambda operation, answer: None):
        self.change, self.date, self.instead = change, None, lambda operation: None
        self.refused = lambda operation, status, content: (status, content)
        altered = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def date_time_string(self, timestamp=None):
                return altered.date or super().date_time_string(timestamp)

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kms = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                kms.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():  # Host too: it is signed
                    kms.putheader(name, value)
                kms.endheaders(body or None)
                answer = kms.getresponse()
                status, content = answer.status, answer.read()
                kms.close()
                if status == 200:
                    content = json.loads(content)
                    altered.change(self.headers["x-acs-action"], content)
                    content = json.dumps(content).encode()
                else:
                    status, content = altered.refused(self.headers["x-acs-action"], status, content)
                status, content = altered.instead(self.headers["x-acs-action"]) or (status, content)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def alter(self, operation, **members):
        """The good answers of OPERATION have these MEMBERS from now on; no others are changed."""
        self.change = lambda asked, answer: answer.update(members) if asked == operation else None

    def close(self):
        self.server.shutdown()
        self.server.server_close()
