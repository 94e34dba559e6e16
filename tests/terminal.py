# A program at a terminal, as a person has it: a pseudo-terminal whose other side the tests type at and read.
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Terminal:
    def __init__(self, *command, rows=24, columns=80, **environment):
        self.master, slave = pty.openpty()
        self.resize(rows, columns, tell=False)
        env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")} | {"TERM": "xterm"} | environment
        self.process = subprocess.Popen([str(part) for part in command], stdin=slave, stdout=slave, stderr=slave, env=env,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = b""  # all that was printed
        self.read_to = 0

    def resize(self, rows, columns, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            os.killpg(self.process.pid, signal.SIGWINCH)

    def type(self, text):
        """While it types it reads: a terminal's buffers are small."""
        data = text if isinstance(text, bytes) else text.encode()
        while data:
            _, writable, _ = select.select([], [self.master], [], 0.05)
            if writable:
                data = data[os.write(self.master, data[:1024]):]
            self.read(0)

    def read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            more = os.read(self.master, 65536)
        except OSError:  # the program has ended
            more = b""
        self.seen += more
        return more != b""

    def until(self, pattern, seconds=120):
        """What is printed from the last place on up to a match, which is the new place."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern.encode(), self.seen[self.read_to:], re.DOTALL)
            if match:
                text = self.seen[self.read_to:self.read_to + match.end()]
                self.read_to += match.end()
                return text.decode(errors="replace")
            assert time.monotonic() < end and self.read(1), f"no {pattern!r} in {self.seen[self.read_to:][-2000:]!r}"

    def end(self, seconds=60):
        """The exit code."""
        end = time.monotonic() + seconds
        while self.read(0.2) and time.monotonic() < end:
            pass
        code = self.process.wait(timeout=seconds)
        os.close(self.master)
        return code


def plain(text):
    """Without what a terminal takes for commands."""
    return CONTROL.sub(b"", text.encode()).decode(errors="replace")
