"""A proxy that answers CONNECT, and the name of a server that it alone can find."""
import socket
import threading

HOST = "kms.example.test"  # no nameserver knows it: only the proxy does


def carry(connection, server):
    """What both have to say, until both have said it."""
    back = threading.Thread(target=copy, args=[server, connection], daemon=True)
    back.start()
    copy(connection, server)
    back.join()


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Proxy:
    """Answers CONNECT: to TARGET, whatever was asked for, or with STATUS."""

    def __init__(self, target):
        self.target = target
        self.status = 200
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096) or b"\r\n\r\n"
            self.asked.append(head.decode())
            if self.status != 200:
                connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.status)
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                carry(connection, server)
