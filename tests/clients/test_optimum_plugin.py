# dsv4_openvino in optimum-intel: DeepSeek-V4's published checkpoints and its model folders through OVModelForCausalLM and optimum-cli, without trust_remote_code,
# and every other model as if it were not there. `make test-full` runs these tests, in build/venv-optimum; test_optimum_plugin_options.py needs less.
import gc
import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import client_models
import goldens
import optimum_plugin
import program

optimum_plugin.use()

import dsv4  # noqa: E402  of the build tree
import dsv4_openvino  # noqa: E402
from optimum.exporters.openvino import main_export  # noqa: E402
from optimum.intel import OVConfig, OVModelForCausalLM  # noqa: E402
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM  # noqa: E402

MINI = goldens.CHECKPOINTS["mini"]
PROMPT = [0, 5, 77, 300, 12, 9, 41]
PROPERTIES = {"ov_config": dict(client_models.PROPERTIES)}
# The test environment's torch has stand-ins in the place of CUDA's libraries, which this question would end at.
torch.cuda.is_current_stream_capturing = lambda: False
CLI = "import torch; torch.cuda.is_current_stream_capturing = lambda: False; from optimum.commands.optimum_cli import main; main()"


def greedy(model, prompt=PROMPT, count=12):
    ids = torch.tensor([prompt])
    made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count, pad_token_id=1, do_sample=False)
    return made[0, len(prompt):].tolist()


def files(folder):
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


@pytest.mark.parametrize("weight_format, options", [
    ("fp32", {}), ("fp32", {"use_cache": False}), ("int8", {"load_in_8bit": True}), ("int8", {"quantization_config": {"bits": 8}}),
    ("int4", {"quantization_config": {"bits": 4, "group_size": 32}}), ("int4", {"quantization_config": {"bits": 4, "group_size": 32}, "use_cache": False}),
    ("mxfp4", {"quantization_config": {"bits": 4, "dtype": "mxfp4"}}),
], ids=str)
def test_a_checkpoint_is_exported_as_dsv4_converts_it(clients, weight_format, options):
    model = OVModelForCausalLM.from_pretrained(MINI, export=True, **PROPERTIES, **options)
    assert model.use_cache == model.stateful == options.get("use_cache", True)
    assert greedy(model) == clients.dsv4_run("mini", weight_format, PROMPT, 12)


def test_without_export_the_checkpoint_is_told_from_a_folder(clients):
    for place in (str(MINI), clients.folder("mini", "fp32")):
        assert greedy(OVModelForCausalLM.from_pretrained(place, **PROPERTIES)) == clients.dsv4_run("mini", "fp32", PROMPT, 12)


def test_the_temporary_folder_lives_as_long_as_the_model():
    model = OVModelForCausalLM.from_pretrained(MINI, export=True, load_in_8bit=True, compile=False)
    place = Path(model.model_save_dir)
    again = OVModelForCausalLM.from_pretrained(MINI, export=True, load_in_8bit=True, compile=False)
    assert (place / "openvino_model.bin").is_file()
    del model, again
    gc.collect()
    assert not place.exists()


def test_saved_and_loaded_again(clients, tmp_path):
    model = OVModelForCausalLM.from_pretrained(MINI, export=True, load_in_8bit=True, compile=False)
    model.save_pretrained(tmp_path / "saved")
    del model
    gc.collect()
    assert greedy(OVModelForCausalLM.from_pretrained(tmp_path / "saved", **PROPERTIES)) == clients.dsv4_run("mini", "int8", PROMPT, 12)


@pytest.mark.parametrize("source", ["checkpoint", "folder", "variable"])
def test_fast_runs_the_cpu_program(clients, tmp_path, monkeypatch, source):
    options = dict(PROPERTIES)
    if source == "variable":
        monkeypatch.setenv("DSV4_OPENVINO_FAST", "1")
    else:
        options["fast"] = True
    if source == "checkpoint":
        model = OVModelForCausalLM.from_pretrained(MINI, export=True, load_in_8bit=True, **options)
    else:
        model = OVModelForCausalLM.from_pretrained(clients.folder("mini", "int8"), **options)
    assert any(op.get_type_name() == "Sequences" for op in model.model.get_ops())
    expected = dsv4.Engine(clients.folder("mini", "int8"), threads=2).generate(PROMPT, max_new_tokens=12, temperature=0, ignore_eos=True).run().tokens
    assert greedy(model) == list(expected)
    model.save_pretrained(tmp_path / "saved")
    del model
    gc.collect()
    monkeypatch.delenv("DSV4_OPENVINO_FAST", raising=False)
    assert greedy(OVModelForCausalLM.from_pretrained(tmp_path / "saved", **PROPERTIES)) == list(expected)


@pytest.mark.parametrize("options, name", [
    ({"quantization_config": {"bits": 4, "dataset": "wikitext2"}}, "dataset"), ({"fast": True, "use_cache": False}, "fast"), ({"stateful": False}, "stateful"),
    ({"task": "fill-mask"}, "fill-mask"), ({"quantization_config": {"bits": 4, "group_size": 7}}, "7"), ({"variant": "fp16"}, "variant"),
])
def test_what_cannot_be_is_one_line(options, name):
    with pytest.raises(dsv4.Error, match=name) as caught:
        OVModelForCausalLM.from_pretrained(MINI, export=True, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["deepseek-ai/DeepSeek-V4-Flash"])
def test_a_name_without_a_network_says_what_to_do(place, tmp_path):
    with pytest.raises(dsv4.Error, match=f"hf download {place}"):
        OVModelForCausalLM.from_pretrained(place, export=True, cache_dir=tmp_path, local_files_only=True)


def test_a_name_in_the_cache(clients, tmp_path):
    repository = tmp_path / "models--someone--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("abc123")
    shutil.copytree(MINI, repository / "snapshots/abc123")
    model = OVModelForCausalLM.from_pretrained("someone/model", export=True, cache_dir=tmp_path, revision="main", local_files_only=True, **PROPERTIES)
    assert greedy(model) == clients.dsv4_run("mini", "fp32", PROMPT, 12)


@pytest.mark.parametrize("weight_format, words", [("int4", ["--weight-format", "int4", "--group-size", "32"]), ("fp32", ["--task", "text-generation-with-past"])])
def test_optimum_cli_writes_what_dsv4_convert_writes(clients, tmp_path, weight_format, words):
    done = optimum_plugin.python(CLI, "export", "openvino", "-m", MINI, tmp_path / "out", *words, env=optimum_plugin.environment())
    assert done.returncode == 0, done.stderr[-2000:]
    assert files(tmp_path / "out") == files(clients.folder("mini", weight_format))


def test_optimum_cli_refuses_in_one_line(tmp_path):
    done = optimum_plugin.python(CLI, "export", "openvino", "-m", MINI, tmp_path / "out", "--weight-format", "int4", "--awq", env=optimum_plugin.environment())
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("dsv4: error: ") and "--awq" in line]
    assert not (tmp_path / "out").exists()


def test_main_export_into_a_folder_that_is_there(tmp_path):
    main_export(str(MINI), tmp_path, task="text-generation-with-past", ov_config=OVConfig(dtype="fp16"), convert_tokenizer=True)
    expected = tmp_path.with_name("expected")
    program.convert(MINI, expected, "--weight-format", "fp16")
    assert files(tmp_path) == files(expected)


def test_hooks_are_there_once():
    before = [OVModelForCausalLM.from_pretrained.__func__, OVModelForCausalLM._export.__func__, OVModelForCausalLM._save_pretrained]
    importlib.reload(dsv4_openvino)
    dsv4_openvino.register()
    assert before == [OVModelForCausalLM.from_pretrained.__func__, OVModelForCausalLM._export.__func__, OVModelForCausalLM._save_pretrained]


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """A model of another type, with its own logits."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                         bos_token_id=0, eos_token_id=1, pad_token_id=2)).eval()
    place = tmp_path_factory.mktemp("llama")
    model.save_pretrained(place)
    ids = torch.arange(3, 11)[None]
    with torch.no_grad():
        return place, ids, model(ids).logits.numpy()


def test_other_models_are_exported_saved_and_loaded_as_ever(llama, tmp_path):
    place, ids, expected = llama
    model = OVModelForCausalLM.from_pretrained(place, export=True, **PROPERTIES)
    assert np.abs(model(ids, attention_mask=torch.ones_like(ids)).logits.numpy() - expected).max() < 1e-4
    model.save_pretrained(tmp_path / "saved")
    again = OVModelForCausalLM.from_pretrained(tmp_path / "saved", use_cache=True, **PROPERTIES)
    assert np.abs(again(ids, attention_mask=torch.ones_like(ids)).logits.numpy() - expected).max() < 1e-4


def test_optimum_cli_exports_other_models_as_ever(llama, tmp_path):
    done = optimum_plugin.python(CLI, "export", "openvino", "-m", llama[0], tmp_path / "out", "--task", "text-generation-with-past", "--weight-format", "fp32",
                                 env=optimum_plugin.environment())
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out/openvino_model.xml").is_file() and not (tmp_path / "out/dsv4_files.json").exists()


ANOTHER = """
import json, sys
import dsv4_openvino
import optimum.intel, torch, transformers
options = eval(sys.argv[2])
model = optimum.intel.OVModelForCausalLM.from_pretrained(sys.argv[1], export=True, ov_config={"INFERENCE_PRECISION_HINT": "f32"}, **options)
ids = torch.tensor([json.loads(sys.argv[3])])
made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, min_new_tokens=12, pad_token_id=1, do_sample=False)
transformers.AutoTokenizer.from_pretrained(sys.argv[1])
print(json.dumps([transformers.__version__, made[0, ids.shape[1]:].tolist()]))
"""


def test_another_release_of_transformers(clients):
    environment = optimum_plugin.environment(optimum_plugin.site_packages("venv-transformers4.57"))
    done = optimum_plugin.python(ANOTHER, MINI, '{"load_in_8bit": True}', json.dumps(PROMPT), env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    version, tokens = json.loads(done.stdout.splitlines()[-1])
    assert version.startswith("4.57.") and tokens == clients.dsv4_run("mini", "int8", PROMPT, 12)


def test_a_quantization_config_as_an_object(clients):
    environment = optimum_plugin.environment(last=[optimum_plugin.site_packages("venv-nncf")])
    options = "{'quantization_config': optimum.intel.OVWeightQuantizationConfig(bits=4, group_size=32)}"
    done = optimum_plugin.python(ANOTHER, MINI, options, json.dumps(PROMPT), env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])[1] == clients.dsv4_run("mini", "int4", PROMPT, 12)
