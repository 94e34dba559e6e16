# The CPU program as an IR (convert --program cpu) in clients of OpenVINO, beside the portable folder and beside dsv4 itself.
"""usage: fast_ir.py [--dsv4 PROGRAM] [--dir DIRECTORY] [--slice FOLDER] [--rounds N]

Prints Markdown. One thread. Every figure comes from a process of its own; the variants take turns, so that a slow minute of the machine meets all of them.
Needs openvino and openvino_genai (build/venv-clients). --slice: a converted folder of V4-Flash's widths; without it that part is left out.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import bench

WARM_UP, MEASURED = 10, 60
PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


def resident():
    """Bytes of anonymous memory, without mapped files."""
    return 1024 * int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")).split()[1])


def genai(folder, library):
    import openvino_genai

    options = {"extensions": [library]} if library else {}
    pipeline = openvino_genai.LLMPipeline(folder, "CPU", **options, **PROPERTIES)
    config = openvino_genai.GenerationConfig(max_new_tokens=MEASURED, do_sample=False, ignore_eos=True, apply_chat_template=False)
    pipeline.generate(["In the beginning"], config)
    print(json.dumps({"token": pipeline.generate(["In the beginning"], config).perf_metrics.get_tpot().mean / 1e3}))


def openvino(folder, library):
    import numpy as np
    import openvino as ov

    vocabulary = json.loads((Path(folder) / "config.json").read_text())["vocab_size"]
    core = ov.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # the plugin is there
    if library:
        core.add_extension(library)
    before, start = resident(), time.perf_counter()
    compiled = core.compile_model(core.read_model(str(Path(folder) / "openvino_model.xml")), "CPU", PROPERTIES)
    request = compiled.create_infer_request()
    opened, memory = time.perf_counter() - start, resident() - before
    ids, seconds = np.random.default_rng(0).integers(0, vocabulary, (WARM_UP + MEASURED, 1, 1)), []
    for position, token in enumerate(ids):
        inputs = {"input_ids": token, "attention_mask": np.ones((1, position + 1), np.int64), "position_ids": np.array([[position]]),
                  "beam_idx": np.zeros(1, np.int32)}
        start = time.perf_counter()
        request.start_async(inputs, share_inputs=True)
        request.wait()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"token": statistics.median(seconds[WARM_UP:]), "open": opened, "memory": memory}))


def child(how, folder, library=""):
    return json.loads(bench.run_measured(sys.executable, __file__, "--child", how, folder, library).out)


def dsv4_bench(program, folder):
    out = json.loads(bench.run_measured(program, "bench", folder, "-p", 8, "-n", MEASURED, "--threads", 1, "--repeats", 1, "--json").out)
    return {"token": out["tpot_seconds"]}


def spread(values, factor=1.0, digits=2):
    ordered = sorted(value * factor for value in values)
    return f"{statistics.median(ordered):.{digits}f} ({ordered[0]:.{digits}f} to {ordered[-1]:.{digits}f})"


def main():
    if sys.argv[1:2] == ["--child"]:
        {"genai": genai, "openvino": openvino}[sys.argv[2]](*sys.argv[3:5])
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsv4", type=Path, default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--dir", default=bench.REPOSITORY / "build/bench")
    parser.add_argument("--slice", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    library = str(arguments.dsv4.resolve().parent / "libdsv4_ops.so")

    with bench.work_directory(arguments.dir) as directory:
        work = Path(directory)
        bench.run_measured(arguments.dsv4, "synth", bench.deep_toy(work, 43), work / "deep-checkpoint")
        folders = {"mini": work / "mini", "deep": work / "deep", "slice": arguments.slice}
        bench.run_measured(arguments.dsv4, "convert", "-m", bench.REPOSITORY / "models/mini", folders["mini"], "--weight-format", "int4", "--group-size", 32)
        bench.run_measured(arguments.dsv4, "convert", "-m", work / "deep-checkpoint", folders["deep"], "--weight-format", "int8")
        folders = {name: folder for name, folder in folders.items() if folder}
        fast = {name: work / f"{name}-cpu" for name in folders}
        for name, folder in folders.items():
            bench.run_measured(arguments.dsv4, "convert", "--program", "cpu", "--from", folder, fast[name])
        variants = {
            ("mini, INT4", "OpenVINO GenAI, portable"): lambda: child("genai", folders["mini"]),
            ("mini, INT4", "OpenVINO GenAI, CPU program"): lambda: child("genai", fast["mini"], library),
            ("mini, INT4", "dsv4 bench"): lambda: dsv4_bench(arguments.dsv4, folders["mini"]),
            ("43 layers of the toy's size, INT8", "OpenVINO, CPU program"): lambda: child("openvino", fast["deep"], library),
            ("43 layers of the toy's size, INT8", "dsv4 bench"): lambda: dsv4_bench(arguments.dsv4, folders["deep"]),
        }
        if arguments.slice:
            name = f"V4-Flash's widths ({arguments.slice.name})"
            variants[name, "OpenVINO, CPU program"] = lambda: child("openvino", fast["slice"], library)
            variants[name, "dsv4 bench"] = lambda: dsv4_bench(arguments.dsv4, folders["slice"])
        rounds = {variant: [] for variant in variants}
        for _ in range(arguments.rounds):
            for variant, measure in variants.items():
                rounds[variant].append(measure())

    rows = []
    for (model, program), figures in rounds.items():
        opened = [spread([f["open"] for f in figures]), f"{statistics.median(f['memory'] for f in figures) / 1e6:.0f} MB"] if "open" in figures[0] else ["", ""]
        rows.append([model, program, spread([f["token"] for f in figures], 1e3), *opened])
    print(bench.table(f"One thread, one sequence, int8 activations and bfloat16 cache, mini trained, the others with random weights. {bench.machine()}. Median "
                      f"(least to most) of {arguments.rounds} rounds in turn.",
                      ["model", "program", "ms a token", "opened, s", "anonymous memory of opening"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
