"""What commands say, line by line; or where they wait."""
import os
import select


class Fifo:
    """What commands say, line by line; or where they wait."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        path.chmod(0o666)
        self.descriptor = os.open(path, os.O_RDWR)
        self.rest = b""

    def line(self, seconds=60):
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.descriptor], [], [], seconds)
            assert ready, "nothing was said"
            self.rest += os.read(self.descriptor, 4096)
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def let_go(self):
        os.write(self.descriptor, b"go\n")
