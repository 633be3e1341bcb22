"""An etcd that answers what a test wants, and remembers what it was asked; and the words of a right one."""
import http.server
import json
import socketserver
import threading

from parts.etcd import encode


class Liar(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """An etcd without users on loopback: each path answers what SAYS has for it, a list of lines or a function of the body."""

    daemon_threads = True

    def __init__(self, **says):
        self.says, self.asked = says, []
        super().__init__(("127.0.0.1", 0), LiarsHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


class LiarsHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.removeprefix("/v3/").replace("/", "_")
        self.server.asked.append((name, body))
        says = self.server.says[name]
        lines = says(body, len([n for n, _ in self.server.asked if n == name])) if callable(says) else says
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            data = (line if isinstance(line, str) else json.dumps(line)).encode() + b"\n"
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            except OSError:
                return
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *words):
        pass


def header(revision, cluster_id="7"):
    return {"cluster_id": cluster_id, "member_id": "1", "revision": str(revision), "raft_term": "2"}


def event(key, mod, version=1, value="v"):
    return {"kv": {"key": encode(key), "mod_revision": str(mod), "create_revision": "1",
                   "version": str(version), "value": encode(value)}}


def result(**members):
    return {"result": members}
