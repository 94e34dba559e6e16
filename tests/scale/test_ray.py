# The Ray examples on this machine: each answer is what `dsv4 run` says to the prompt alone. In build/venv-ray, which only `make test-full` makes.
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

import program
from goldens import REPOSITORY

pytest.importorskip("ray", reason="no Ray for this Python (tests/requirements/ray.txt)")

PROMPTS = ["In the beginning", "And God said", "The LORD", "And", "These are the", "Moses", "He said unto him", "Let there be"]


@pytest.fixture(scope="module")
def folder(library):
    return library.folder("mini", "--weight-format", "int8")


@pytest.fixture
def environment(tmp_path):
    """Ray's files go to a path that is short enough for its sockets."""
    return dict(os.environ, PYTHONPATH=str(program.executable().parent / "python"), RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0", RAY_TMPDIR="/tmp", RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S="120", RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S="120",
                RAY_OVERRIDE_RESOURCES=json.dumps({"CPU": 2}))


def expected(folder, prompt):
    return program.succeed("run", folder, "-p", prompt, "-n", 8, "--temperature", 0, "--json", "--threads", 2).out


@pytest.fixture(scope="module")
def answers(folder):
    return {prompt: json.loads(expected(folder, prompt))["text"] for prompt in PROMPTS}


def test_ray_data_batch(folder, answers, environment, tmp_path):
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    command = [sys.executable, REPOSITORY / "examples/ray_data_batch.py", folder, tmp_path / "prompts.jsonl", tmp_path / "out", "--max-new-tokens", "8"]
    done = subprocess.run(list(map(str, command)), env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for file in (tmp_path / "out").iterdir() for line in file.read_text().splitlines()]
    assert {row["prompt"]: row["text"] for row in rows} == answers
    assert all(row["error"] == "" for row in rows)


def ask(port, body, path="/"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body)
    with urllib.request.urlopen(request, timeout=120) as reply:
        return reply.read()


@pytest.fixture
def served(folder, environment, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, REPOSITORY / "examples/ray_serve.py", folder, "--replicas", "2", "--port", port, "--max-new-tokens", "8"]
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(list(map(str, command)), env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        end = time.monotonic() + 500
        while True:
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            try:
                assert ask(port, None, "/health") == b"ok"
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.5)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def test_ray_serve(served, answers):
    with ThreadPoolExecutor(4) as clients:
        replies = list(clients.map(lambda prompt: json.loads(ask(served, json.dumps({"prompt": prompt}).encode())), PROMPTS * 3))
    assert [reply["text"] for reply in replies] == [answers[prompt] for prompt in PROMPTS * 3]
    processes = {reply["process"] for reply in replies}
    end = time.monotonic() + 120
    while len(processes) < 2 and time.monotonic() < end:  # the second replica may come up later than the first
        processes.add(json.loads(ask(served, json.dumps({"prompt": PROMPTS[0]}).encode()))["process"])
    assert len(processes) == 2
    for body in (b"no JSON", b'{"prompt": 5}', b"{}"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(served, body)
        assert caught.value.code == 400
