# dsv4 serve under clients of every kind at once: all that ask properly are answered, and memory, descriptors and threads stay as they are.
import collections
import concurrent.futures
import json
import os
import random
import time
from pathlib import Path

import pytest

from server.served import serving

BODY = {"messages": [{"role": "user", "content": "Tell me of the sea."}], "temperature": 1, "max_tokens": 6}
BODY_BYTES = json.dumps({**BODY, "stream": True, "max_tokens": 2000, "ignore_eos": True}).encode()
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY_BYTES), BODY_BYTES)


def ask_whole(server, chance):
    answer = server.post("/v1/chat/completions", {**BODY, "seed": chance.randrange(99), "n": 1 + chance.randrange(2)})
    assert all(choice["finish_reason"] in ("stop", "length") for choice in answer["choices"])


def ask_stream(server, chance):
    events = server.stream("/v1/completions", {"prompt": "In the beginning " * (1 + chance.randrange(20)), "max_tokens": 6})
    assert events[-1]["choices"][0]["finish_reason"] in ("stop", "length")


def leave_in_the_middle(server, chance):
    with server.socket() as client:
        client.sendall(REQUEST)
        client.recv(1 + chance.randrange(3000))


def leave_at_once(server, chance):
    with server.socket() as client:
        client.sendall(REQUEST[:1 + chance.randrange(len(REQUEST))])


def read_slowly(server, chance):
    with server.socket() as client:
        client.sendall(REQUEST)
        for _ in range(chance.randrange(10)):
            time.sleep(0.01)
            assert client.recv(50)


def send_junk(server, chance):
    with server.socket() as client:
        client.sendall(chance.randbytes(3000) + b"\r\n\r\n")
        assert client.recv(20).startswith(b"HTTP/1.1 4")


def send_too_much(server, _chance):
    with server.socket() as client:
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n")
        try:
            for _ in range(20):
                client.sendall(b"x" * 1_000_000)
            assert client.recv(20).startswith(b"HTTP/1.1 413")
        except OSError:
            pass  # the server waits for no end of it


def send_without_end(server, _chance):
    with server.socket() as client:
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(40):
                client.sendall(b"80000\r\n" + b"x" * 0x80000 + b"\r\n")
            assert client.recv(20).startswith(b"HTTP/1.1 413")
        except OSError:
            pass


KINDS = [ask_whole, ask_stream, ask_whole, ask_stream, leave_in_the_middle, leave_at_once, read_slowly, send_junk, send_too_much, send_without_end]


def state_of(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {"descriptors": len(os.listdir(f"/proc/{process.pid}/fd")), "threads": int(fields["Threads"]), "kilobytes": int(fields["VmRSS"].split()[0])}


def wait_until_idle(server):
    end = time.monotonic() + 120
    while server.metric("requests_processing") + server.metric("requests_waiting") > 0:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("rounds, kinds", [(2, 3), pytest.param(60, len(KINDS), marks=pytest.mark.full)])
def test_clients_of_every_kind(library, rounds, kinds):
    folder = library.folder("mini", "--weight-format", "int8")
    # A store that is full after a moment: its states have memory and descriptors.
    flags = ["-q", "--cache-ram", 1, "--max-waiting", 1000, "--context", 4096]
    with serving(folder, *flags) as server, concurrent.futures.ThreadPoolExecutor(32) as pool:

        def storm(number):
            def client(index):
                chance = random.Random(number * 1000 + index)
                for kind in chance.sample(KINDS, kinds):
                    kind(server, chance)
                return 1
            assert sum(pool.map(client, range(32))) == 32
            wait_until_idle(server)
            return state_of(server.process)

        states = [storm(number) for number in range(rounds)]
        assert server.process.poll() is None
        counts = collections.Counter({name: states[-1][name] - states[0][name] for name in states[0]})
        assert counts["threads"] <= 2, states
        # Connections that were refused last linger for some seconds.
        assert counts["descriptors"] <= 40, states
        assert counts["kilobytes"] < 100_000, states
        assert server.complete("In the beginning", max_tokens=4, ignore_eos=True)["usage"]["completion_tokens"] == 4
        assert server.stop() == 0
