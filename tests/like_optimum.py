# What optimum-intel 2.2.0's OVModelForCausalLM does with a model folder, without torch: which files it reads, what it asks of the model, and each request of
# a generation (openvino/modeling_decoder.py and utils.py of that release). tests/clients/test_optimum.py compares the requests with the real class's.
import json

import numpy as np
import openvino
from transformers import AutoConfig, GenerationConfig

import client_models

# Parameters of OVWeightQuantizationConfig, as whose arguments `quantization_config` of openvino_config.json is read.
QUANTIZATION_PARAMETERS = {
    "bits", "sym", "group_size", "tokenizer", "dataset", "ratio", "all_layers", "sensitivity_metric", "ignored_scope", "num_samples", "quant_method",
    "scale_estimation", "dtype", "gptq", "processor", "lora_correction", "backup_precision", "statistics_path", "group_size_fallback", "dq_group_size",
}


class LikeOptimum:
    def __init__(self, folder, use_cache=True):
        self.config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
        self.generation_config = GenerationConfig.from_pretrained(folder)
        core = openvino.Core()
        model = core.read_model(folder / "openvino_model.xml", folder / "openvino_model.bin")
        # The version with which a model was exported: of the IR if it has the section, and then the field must be there.
        self.exported_by = model.rt_info["optimum"]["transformers_version"].value if "optimum" in model.rt_info else self.config.transformers_version
        self.inputs = [port.get_any_name() for port in model.inputs]
        self.stateful = len(model.get_sinks()) > 0
        assert use_cache == (self.stateful or any("past_key_values" in name for name in self.inputs))
        if not self.stateful:
            model.reshape({port: [-1] * len(port.get_partial_shape()) for port in model.inputs})
        self.request = core.compile_model(model, "CPU", dict(client_models.PROPERTIES)).create_infer_request()
        self.beam_idx = None

    def forward(self, ids, mask, first):
        """ids [B,S], and of a stateful model only those that are new -> logits [B,S,V]."""
        if self.stateful and first:
            self.request.reset_state()
            self.beam_idx = np.arange(len(ids), dtype=int)
        inputs = {"input_ids": ids}
        if "attention_mask" in self.inputs:
            inputs["attention_mask"] = mask
        if "position_ids" in self.inputs:
            positions = np.cumsum(mask, axis=1) - 1
            positions[mask == 0] = 1
            inputs["position_ids"] = positions[:, -ids.shape[1]:]
        if "beam_idx" in self.inputs:
            inputs["beam_idx"] = self.beam_idx
        self.request.start_async(inputs, share_inputs=True)
        self.request.wait()
        return self.request.get_tensor("logits").data.copy()

    def last_logits(self, rows, parents, first):
        """[B,V] after rows of all ids so far. Row i goes on from row parents[i] of the call before, of which there may be fewer."""
        rows = np.asarray(rows, np.int64)
        if self.stateful and not first:
            self.beam_idx = np.asarray(parents)
        new = rows[:, -1:] if self.stateful and not first else rows
        return self.forward(new, np.ones_like(rows), first)[:, -1]

    def greedy(self, prompts, count):
        """The likeliest ids after prompts of equal length; ends do not end them."""
        rows = np.atleast_2d(np.asarray(prompts, np.int64))
        for step in range(count):
            best = self.last_logits(rows, range(len(rows)), first=step == 0).argmax(axis=1)
            rows = np.concatenate([rows, best[:, None]], axis=1)
        return rows[:, -count:].tolist()

    def greedy_padded(self, ids, mask, count):
        """The same after prompts of unequal length, as a tokenizer pads them: ids and mask [B,S]."""
        rows, mask = np.asarray(ids, np.int64), np.asarray(mask, np.int64)
        for step in range(count):
            new = rows[:, -1:] if self.stateful and step > 0 else rows
            best = self.forward(new, mask, first=step == 0)[:, -1].argmax(axis=1)
            rows = np.concatenate([rows, best[:, None]], axis=1)
            mask = np.concatenate([mask, np.ones_like(best)[:, None]], axis=1)
        return rows[:, -count:].tolist()

    def beam_search(self, prompt, beams, steps):
        """The first request has the prompt once, the second splits its state into beams, each later one reorders them."""

        def last_logits(rows, parents):
            return self.last_logits(rows, parents, first=len(rows[0]) == len(prompt))

        return client_models.beam_search(last_logits, prompt, beams, steps, self.config.eos_token_id)


def check_openvino_config(folder):
    """openvino_config.json as OVConfig reads it, with the checks that OVWeightQuantizationConfig makes of what we write. Returns its quantization or None."""
    config = json.loads((folder / "openvino_config.json").read_text())
    assert set(config) <= {"input_info", "save_onnx_model", "quantization_config", "dtype", "optimum_version"}
    quantization = config["quantization_config"]
    if quantization is None:
        return None
    assert set(quantization) <= QUANTIZATION_PARAMETERS
    assert quantization["dtype"] == config["dtype"]
    assert quantization["bits"] == {"int8": 8, "int4": 4, "mxfp4": 4}[quantization["dtype"]]
    assert quantization["group_size"] == -1 or quantization["group_size"] > 0
    assert 0 <= quantization["ratio"] <= 1
    assert quantization["quant_method"] == "default" and quantization["dataset"] is None
    assert quantization["dq_group_size"] >= 0
    assert quantization["group_size_fallback"] in (None, "error", "ignore", "adjust")
    if quantization["bits"] == 8:
        assert (quantization["group_size"], quantization["ratio"]) == (-1, 1)
        assert not quantization["all_layers"] and quantization["backup_precision"] is None
    else:
        assert quantization["backup_precision"] in (None, "none", "int8_sym", "int8_asym")
    return quantization


class Recorder:
    """Takes the place of an inference request and notes what is asked of it: "reset", or the inputs by name."""

    def __init__(self, request):
        self.request, self.calls = request, []

    def __getattr__(self, name):
        return getattr(self.request, name)

    def reset_state(self):
        self.calls.append("reset")
        self.request.reset_state()

    def start_async(self, inputs, **options):
        self.calls.append({name: np.array(value) for name, value in inputs.items()})
        self.request.start_async(inputs, **options)
