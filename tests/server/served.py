# A running `dsv4 serve` for tests, asked over HTTP with Python's own library.
import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import threading

import program


class Server:
    def __init__(self, process, port):
        self.process = process
        self.port = port

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    def post(self, path, body, status=200, **options):
        found, _, text = self.ask("POST", path, body, **options)
        assert found == status, text
        return json.loads(text)

    def get(self, path, status=200, **options):
        found, _, text = self.ask("GET", path, **options)
        assert found == status, text
        return json.loads(text)

    def chat(self, messages, status=200, **fields):
        return self.post("/v1/chat/completions", {"messages": messages, **fields}, status)

    def complete(self, prompt, status=200, **fields):
        return self.post("/v1/completions", {"prompt": prompt, **fields}, status)

    def stream(self, path, body):
        """The events of a stream, whose last one is [DONE]."""
        status, headers, text = self.ask("POST", path, {**body, "stream": True})
        assert status == 200 and headers["Content-Type"] == "text/event-stream", text
        events = [block for block in text.split("\n\n") if block and not block.startswith(":")]
        assert all(event.startswith("data: ") for event in events) and events[-1] == "data: [DONE]"
        return [json.loads(event[6:]) for event in events[:-1]]

    def metric(self, name):
        text = self.ask("GET", "/metrics")[2]
        return float(re.search(rf"^dsv4_{name} (\S+)$", text, re.MULTILINE)[1])

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def stop(self):
        """Exit code, after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextlib.contextmanager
def serving(folder, *flags):
    command = [program.executable(), "serve", folder, "--port", "0", "--threads", program.THREADS, *flags]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            if match := re.search(r"listens on http://\S+:(\d+)$", line.rstrip()):
                break
        else:
            raise AssertionError(f"exit code {process.wait()}: {''.join(lines)}")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop the server
        yield Server(process, int(match[1]))
    finally:
        process.kill()
        process.wait()
