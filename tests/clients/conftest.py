# Fixtures of the client tests. They run in build/venv-clients, but test_optimum.py, test_optimum_plugin.py and test_lm_eval.py in build/venv-optimum (tools/test-venv.sh makes both).
import os
import tempfile

# Before anything imports transformers: it looks nothing up on the network, and keeps its copies of configuration_deepseek_v4.py away from the user's.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="dsv4-clients-")

import openvino_genai
import pytest

import client_models
import like_optimum
import program


class Clients:
    """Pipelines and models, loaded once for each folder."""

    def __init__(self, library):
        self.library = library
        self.loaded = {}

    def folder(self, name, weight_format, *flags):
        return self.library.folder(name, *client_models.FORMATS[weight_format], *flags)

    def genai(self, name, weight_format):
        key = ("genai", name, weight_format)
        if key not in self.loaded:
            self.loaded[key] = openvino_genai.LLMPipeline(self.folder(name, weight_format), "CPU", **client_models.PROPERTIES)
        return self.loaded[key]

    def like_optimum(self, name, weight_format, *flags):
        key = ("like optimum", name, weight_format, *flags)
        if key not in self.loaded:
            self.loaded[key] = like_optimum.LikeOptimum(self.folder(name, weight_format, *flags), use_cache="--disable-stateful" not in flags)
        return self.loaded[key]

    def optimum(self, name, weight_format, *flags):
        from optimum.intel import OVModelForCausalLM

        key = ("optimum", name, weight_format, *flags)
        if key not in self.loaded:
            options = {"use_cache": False} if "--disable-stateful" in flags else {}
            self.loaded[key] = OVModelForCausalLM.from_pretrained(self.folder(name, weight_format, *flags), trust_remote_code=True,
                                                                  ov_config=dict(client_models.PROPERTIES), **options)
        return self.loaded[key]

    def dsv4_run(self, name, weight_format, prompt, count):
        """Greedy ids of the program: a process that compiles the model, so each question is asked once."""
        key = ("run", name, weight_format, tuple(prompt), count)
        if key not in self.loaded:
            self.loaded[key] = program.generate(self.folder(name, weight_format), prompt, count, "--ignore-eos")["tokens"]
        return self.loaded[key]

    def prefill_form(self, name, weight_format):
        return self.library.compiled(name, *client_models.FORMATS[weight_format], *client_models.PREFILL)

    def greedy(self, name, weight_format, prompt, count):
        return client_models.greedy(self.prefill_form(name, weight_format), prompt, count)

    def beams(self, name, weight_format, prompt, beams, steps):
        eos = self.library.golden(name).config["eos_token_id"]
        return client_models.recomputed_beam_search(self.prefill_form(name, weight_format), prompt, beams, steps, eos)


@pytest.fixture(scope="session")
def clients(library):
    return Clients(library)
