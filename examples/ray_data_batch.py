# Offline generation with Ray Data: a file of prompts through actors that each keep an engine open. One machine's actors share the mapped weights.
"""usage: python ray_data_batch.py FOLDER PROMPTS.jsonl OUTPUT_FOLDER [--actors N] [--max-new-tokens N]    (needs ray[data] and dsv4)

PROMPTS.jsonl has {"prompt": TEXT} in every line. OUTPUT_FOLDER gets JSON lines with prompt, text and finish_reason (or error, of a prompt that cannot be computed).
"""
import argparse
import os
from pathlib import Path

import ray


class Model:
    """An actor: the engine is opened once, then it gets one batch of prompts after another."""

    def __init__(self, folder, threads, max_new_tokens):
        import dsv4

        self.error = dsv4.Error
        self.engine = dsv4.Engine(folder, threads=threads)
        self.max_new_tokens = max_new_tokens

    def run(self, prompts):
        return self.engine.generate_batch(prompts, max_new_tokens=self.max_new_tokens, temperature=0)

    def __call__(self, batch):
        prompts = [str(prompt) for prompt in batch["prompt"]]
        try:
            rows = [self.row(made) for made in self.run(prompts)]
        except self.error:  # one of them is no good: each for itself, so that the file's others are computed
            rows = [self.alone(prompt) for prompt in prompts]
        return {"prompt": prompts, **{name: [row[name] for row in rows] for name in ("text", "finish_reason", "error")}}

    def row(self, made):
        return {"text": made.text, "finish_reason": made.finish_reason or "", "error": made.error or ""}

    def alone(self, prompt):
        try:
            return self.row(self.run([prompt])[0])
        except self.error as error:
            return {"text": "", "finish_reason": "", "error": str(error)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="made by dsv4 convert")
    parser.add_argument("prompts", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--actors", type=int, default=1, help="processes with an engine, one a memory node is natural (default %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="prompts computed together (default %(default)s)")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    options = parser.parse_args()
    threads = max(1, len(os.sched_getaffinity(0)) // options.actors)
    ray.init(include_dashboard=False)
    prompts = ray.data.read_json(str(options.prompts.resolve()), lines=True)
    texts = prompts.map_batches(Model, batch_size=options.batch_size, concurrency=options.actors, num_cpus=0.5,
                                fn_constructor_args=[str(options.folder.resolve()), threads, options.max_new_tokens])
    texts.write_json(str(options.output.resolve()))


if __name__ == "__main__":
    main()
