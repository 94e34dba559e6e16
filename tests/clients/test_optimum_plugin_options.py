# dsv4_openvino without optimum-intel: transformers knows the model type, optimum's words become dsv4's options, and what has no twin is refused by name.
# What loads and exports models is in test_optimum_plugin.py.
import argparse
import enum
import shutil

import pytest
from transformers import AutoConfig, AutoTokenizer

import goldens
import optimum_plugin

optimum_plugin.use()

import dsv4  # noqa: E402  of the build tree
import dsv4_openvino  # noqa: E402
from dsv4_openvino import _checkpoints, _options, _register  # noqa: E402

MINI = goldens.CHECKPOINTS["mini"]


def config_object(**values):
    """An OVWeightQuantizationConfig as vars() shows it; the real one needs NNCF."""
    defaults = dict.fromkeys(("dataset", "num_samples", "tokenizer", "processor", "ignored_scope", "all_layers", "sensitivity_metric", "scale_estimation", "gptq",
                              "lora_correction", "backup_precision", "statistics_path", "group_size_fallback", "dq_group_size", "group_size"))
    made = type("OVWeightQuantizationConfig", (), {})()
    made.__dict__ = {**defaults, "_dataset_kwargs": {}, "kwargs": {}, "bits": 8, "sym": False, "ratio": 1.0, "dtype": "int8", "quant_method": Method.DEFAULT, **values}
    return made


class Method(enum.Enum):
    DEFAULT = "default"
    AWQ = "awq"


def test_checkpoint_and_folder_need_no_code_of_their_own(library):
    for place in (MINI, library.folder("mini")):
        config = AutoConfig.from_pretrained(place)
        assert config.model_type == "deepseek_v4" and config.vocab_size == 1024
        assert AutoTokenizer.from_pretrained(place)("And God said")["input_ids"] == AutoTokenizer.from_pretrained(library.folder("mini"))("And God said")["input_ids"]


def test_registering_again_changes_nothing():
    before = type(AutoConfig.from_pretrained(MINI))
    dsv4_openvino.register()
    dsv4_openvino.register()
    assert type(AutoConfig.from_pretrained(MINI)) is before


@pytest.mark.parametrize("config, options", [
    ({"bits": 8}, {"weight_format": "int8"}),
    ({}, {"weight_format": "int8"}),
    ({"bits": 8, "sym": True, "group_size": -1, "ratio": 1.0}, {"weight_format": "int8", "sym": True}),
    ({"bits": 4}, {"weight_format": "int4"}),
    ({"bits": 4, "group_size": 64, "ratio": 0.8, "all_layers": True, "sym": True},
     {"weight_format": "int4", "group_size": 64, "ratio": 0.8, "all_layers": True, "sym": True}),
    ({"bits": 4, "group_size_fallback": "adjust", "backup_precision": "int8_sym"},
     {"weight_format": "int4", "group_size_fallback": "adjust", "backup_precision": "int8_sym"}),
    ({"dtype": "mxfp4", "bits": 4, "ratio": 1.0, "group_size": 32}, {"weight_format": "mxfp4"}),
    ({"bits": 4, "dataset": None, "awq": False, "scale_estimation": None, "ignored_scope": {}, "tokenizer": "gpt2"}, {"weight_format": "int4"}),
    (config_object(), {"weight_format": "int8", "sym": False}),
    (config_object(bits=4, dtype="int4", group_size=32, ratio=0.5), {"weight_format": "int4", "group_size": 32, "ratio": 0.5, "sym": False}),
])
def test_quantization_config(config, options):
    assert _options.weights(config) == options


@pytest.mark.parametrize("given, options", [
    ((None, None), {}), ((None, True), {"weight_format": "int8"}), ((None, False), {"weight_format": "fp32"}), ((None, None, "torch.float16"), {"weight_format": "fp16"}),
    ((None, None, "bfloat16"), {}), (({"bits": 4}, True), {"weight_format": "int4"}),
])
def test_without_a_quantization_config(given, options):
    assert _options.weights(*given) == options


@pytest.mark.parametrize("config, name", [
    ({"bits": 4, "dataset": "wikitext2"}, "dataset"), ({"bits": 4, "awq": True}, "awq"), ({"bits": 4, "gptq": True}, "gptq"),
    ({"bits": 4, "scale_estimation": True}, "scale_estimation"), ({"bits": 4, "lora_correction": True}, "lora_correction"), ({"bits": 4, "num_samples": 8}, "num_samples"),
    ({"bits": 4, "sensitivity_metric": "hessian_input_activation"}, "sensitivity_metric"), ({"bits": 4, "statistics_path": "x"}, "statistics_path"),
    ({"bits": 4, "ignored_scope": {"names": ["a"]}}, "ignored_scope"), ({"bits": 4, "groupsize": 3}, "groupsize"), ({"bits": 3}, "bits"), ({"dtype": "nf4"}, "nf4"),
    ({"dtype": "cb4", "bits": 4}, "cb4"), ({"bits": 4, "dq_group_size": 64}, "dq_group_size"), (config_object(quant_method=Method.AWQ, bits=4, dtype="int4"), "quant_method"),
    (config_object(gptq=True, bits=4, dtype="int4"), "gptq"), (type("OVQuantizationConfig", (), {})(), "OVQuantizationConfig"),
    ({"weight_quantization_config": {"bits": 4}}, "weight_quantization_config"),
])
def test_what_dsv4_does_not_do_is_refused_by_name(config, name):
    with pytest.raises(dsv4.UsageError, match=name) as caught:
        _options.weights(config)
    assert "\n" not in str(caught.value)


def test_options_of_the_command():
    def parsed(**values):
        return argparse.Namespace(**{"weight_format": None, "ratio": None, "awq": None, "dataset": None, "sym": None, "num_samples": None, **values})

    assert _options.of_command(parsed()) == {}
    assert _options.of_command(parsed(weight_format="int4", ratio=0.5)) == {"weight_format": "int4", "ratio": 0.5}
    assert _options.of_command(parsed(weight_format="fp16")) == {"weight_format": "fp16"}
    for values, name in (({"ratio": 0.5}, "--ratio"), ({"weight_format": "int4", "awq": True}, "--awq"), ({"weight_format": "int4", "dataset": "c4"}, "--dataset")):
        with pytest.raises(dsv4.UsageError, match=name):
            _options.of_command(parsed(**values))


@pytest.fixture
def cache(tmp_path):
    """A Hugging Face cache with mini as someone/model, branch main."""
    repository = tmp_path / "models--someone--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("abc123")
    shutil.copytree(MINI, repository / "snapshots/abc123")
    return tmp_path


def test_models_are_told_by_their_config(cache, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "llama"}')
    assert _checkpoints.is_v4(MINI) and _checkpoints.is_v4("someone/model", cache_dir=cache) and _checkpoints.is_v4("deepseek-ai/DeepSeek-V4-Flash")
    for place in (other, tmp_path, tmp_path / "nowhere", "someone/model", "deepseek-ai/DeepSeek-V3", "gpt2", "./deepseek-v4"):
        assert not _checkpoints.is_v4(place, cache_dir=None if place == "someone/model" else cache)


def test_a_name_is_looked_up_in_the_cache(cache):
    found = _checkpoints.directory("someone/model", cache_dir=cache, local_files_only=True, revision="main")
    assert (found / "config.json").read_bytes() == (MINI / "config.json").read_bytes()


@pytest.mark.parametrize("name, options", [("deepseek-ai/DeepSeek-V4-Flash", {}), ("someone/model", {"revision": "other"})])
def test_a_name_that_is_not_there_says_what_to_do(cache, name, options):
    with pytest.raises(dsv4.Error, match=f"hf download {name}") as caught:
        _checkpoints.directory(name, cache_dir=cache, local_files_only=True, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000


def test_other_versions_are_named_in_a_warning(monkeypatch):
    monkeypatch.setattr(_register, "_version", {"transformers": "9.1.0", "optimum-intel": "2.2.0"}.get)
    monkeypatch.setattr(_register, "_warned", set())
    with pytest.warns(UserWarning, match="transformers from 4.57 to before 5.6; this is 9.1.0") as caught:
        _register._warn_of_versions()
        _register._warn_of_versions()
    assert len(caught) == 1
