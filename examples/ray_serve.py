# Serves a model folder with Ray Serve: replicas, each a process with an open engine on the processors of one memory node. The weights are mapped, so all replicas of a
# machine share one copy of them in its page cache.
"""usage: python ray_serve.py FOLDER [--replicas N] [--port P] [--max-new-tokens N]    (needs ray[serve] and dsv4)

curl -d '{"prompt": "In the beginning"}' http://127.0.0.1:8000/    answers {"text": ..., "tokens": ..., "finish_reason": ..., "process": ...}
Prompts that come together are computed together. GET /health answers "ok".
"""
import argparse
import asyncio
import fcntl
import os
import tempfile
from pathlib import Path

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

BATCH = 8  # most prompts of an inference


def nodes():
    """Processors of each memory node (of each socket, usually) that this process may run on."""
    allowed = os.sched_getaffinity(0)
    found = []
    for file in sorted(Path("/sys/devices/system/node").glob("node[0-9]*/cpulist")):
        cpus = set()
        for part in filter(None, file.read_text().strip().split(",")):
            first, _, last = part.partition("-")
            cpus.update(range(int(first), int(last or first) + 1))
        if cpus & allowed:
            found.append(cpus & allowed)
    return found or [allowed]


def bind_to_a_node():
    """Takes the node with the fewest replicas: each holds a lock file as long as its process lives. Returns what has to stay open."""
    for round_ in range(64):
        for number, cpus in enumerate(nodes()):
            lock = open(Path(tempfile.gettempdir(), f"dsv4-ray-{os.getuid()}-node{number}-{round_}"), "w")  # noqa: SIM115  held on purpose
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            os.sched_setaffinity(0, cpus)
            return lock
    raise RuntimeError("more than 64 replicas on a memory node")


@serve.deployment(max_ongoing_requests=4 * BATCH)
class Model:
    def __init__(self, folder, max_new_tokens):
        self.lock = bind_to_a_node()  # before the engine starts its threads
        import dsv4

        self.error = dsv4.Error
        self.engine = dsv4.Engine(folder)
        self.max_new_tokens = max_new_tokens

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.02)
    async def generate(self, prompts):
        def run(prompt_list):
            return self.engine.generate_batch(prompt_list, max_new_tokens=self.max_new_tokens, temperature=0)

        try:
            return await asyncio.to_thread(run, prompts)
        except self.error:  # one prompt of them is no good: each for itself then, so that the others are answered
            return [await asyncio.to_thread(self.alone, run, prompt) for prompt in prompts]

    def alone(self, run, prompt):
        try:
            return run([prompt])[0]
        except self.error as error:
            return error

    async def __call__(self, request: Request):
        if request.url.path.endswith("/health"):
            return PlainTextResponse("ok")
        try:
            prompt = (await request.json())["prompt"]
        except (ValueError, KeyError, TypeError):
            prompt = None
        if not isinstance(prompt, str):
            return JSONResponse({"error": 'expected {"prompt": TEXT}'}, status_code=400)
        made = await self.generate(prompt)
        if isinstance(made, self.error) or made.error:
            return JSONResponse({"error": str(getattr(made, "error", made))}, status_code=400)
        return JSONResponse({"text": made.text, "tokens": made.tokens, "finish_reason": made.finish_reason, "process": os.getpid()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="made by dsv4 convert")
    parser.add_argument("--replicas", type=int, default=len(nodes()), help="processes with an engine (default: one a memory node, here %(default)s)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    options = parser.parse_args()
    ray.init(include_dashboard=False)
    serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    # Ray gives a replica its share of the processors by number only; which ones they are is bind_to_a_node's.
    cpus = max(1, len(os.sched_getaffinity(0)) // options.replicas)
    model = Model.options(num_replicas=options.replicas, ray_actor_options={"num_cpus": cpus})
    serve.run(model.bind(str(options.folder.resolve()), options.max_new_tokens), blocking=True)


if __name__ == "__main__":
    main()
