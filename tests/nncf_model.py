# nncf.compress_weights on model folders. NNCF has a Python environment of its own (build/venv-nncf): imported, this module starts itself there.
#
#   jobs = [Job(folder, output, mode="int4_asym", group_size=32)]
#   outcomes = compress(jobs)         # the error's class name, or None: then output/openvino_model.{xml,bin} are there
#   stored(Ir(output))                # {constant name: (element type, shape, bytes)}
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def interpreter():
    """Python with NNCF; tools/test-venv.sh nncf makes it."""
    return Path(os.environ.get("DSV4_NNCF_PYTHON", REPOSITORY / "build/venv-nncf/bin/python"))


@dataclass
class Job:
    """One call of compress_weights. None leaves NNCF's own default."""

    folder: str
    output: str
    mode: str
    group_size: int | None = None
    ratio: float | None = None
    all_layers: bool | None = None
    backup_mode: str | None = None
    group_size_fallback: str | None = None
    optimized: bool = True  # False: NNCF's numpy path whatever the size


def run_nncf(script, *arguments, optimized=True, **options):
    """`script` under NNCF's interpreter; returns its standard output. NNCF's log goes to stderr and is shown only on failure."""
    # With bytecode NNCF starts in a third of the time.
    left_out = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "NNCF_DISABLE_OPTIMIZED_COMPRESSION")
    environment = {name: value for name, value in os.environ.items() if name not in left_out} | {"OV_TELEMETRY_OPT_OUT": "1"}
    if not optimized:
        environment["NNCF_DISABLE_OPTIMIZED_COMPRESSION"] = "1"
    done = subprocess.run([interpreter(), script, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False, timeout=600, **options)
    assert done.returncode == 0, f"{script}: exit code {done.returncode}: {done.stderr[-4000:]}"
    return done.stdout


def compress(jobs):
    """All jobs in as few processes as their `optimized` allows, for NNCF takes seconds to start."""
    outcomes = {}
    for optimized in (True, False):
        chosen = [index for index, job in enumerate(jobs) if job.optimized == optimized]
        if chosen:
            request = json.dumps([asdict(jobs[index]) | {"folder": str(jobs[index].folder), "output": str(jobs[index].output)} for index in chosen])
            answers = json.loads(run_nncf(__file__, optimized=optimized, input=request).splitlines()[-1])
            outcomes |= dict(zip(chosen, answers, strict=True))
    return [outcomes[index] for index in range(len(jobs))]


def stored(ir):
    """name -> (element type, shape, bytes) of the constants of an ir.Ir, as they lie in the .bin."""
    return {name: (constant.type, constant.shape, ir.bin[constant.offset:constant.offset + constant.bytes].tobytes())
            for name, constant in ir.constants().items()}


def work():
    """In NNCF's environment: jobs from stdin as JSON, outcomes to stdout."""
    import nncf
    import openvino

    modes = {mode.value: mode for mode in nncf.CompressWeightsMode}
    backups = {mode.value: mode for mode in nncf.BackupMode}
    fallbacks = {mode.value: mode for mode in nncf.GroupSizeFallbackMode}
    core = openvino.Core()
    outcomes = []
    for job in json.load(sys.stdin):
        options = {name: job[name] for name in ("group_size", "ratio", "all_layers") if job[name] is not None}
        if job["backup_mode"] is not None:
            options["backup_mode"] = backups[job["backup_mode"]]
        if job["group_size_fallback"] is not None:
            options["advanced_parameters"] = nncf.AdvancedCompressionParameters(group_size_fallback_mode=fallbacks[job["group_size_fallback"]])
        model = core.read_model(Path(job["folder"]) / "openvino_model.xml")
        try:
            model = nncf.compress_weights(model, mode=modes[job["mode"]], **options)
        except (nncf.ValidationError, nncf.InvalidGroupSizeError, nncf.ParameterNotSupportedError) as error:
            outcomes.append(type(error).__name__)
            continue
        output = Path(job["output"])
        output.mkdir(parents=True)
        openvino.save_model(model, output / "openvino_model.xml", compress_to_fp16=False)
        outcomes.append(None)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    work()
