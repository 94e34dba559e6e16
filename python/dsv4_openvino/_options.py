# optimum-intel's words for the form of the weights, as options of dsv4.convert. What dsv4 has no twin for is refused by name.
from __future__ import annotations

from typing import Any

import dsv4

FORMATS = ("int8", "int4", "mxfp4")
TAKEN = ("sym", "group_size", "ratio", "all_layers", "backup_precision", "group_size_fallback")
# Values that ask for nothing beyond what is done anyway; any other value of these is refused.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "quant_method": ("default",),
    "sensitivity_metric": ("weight_quantization_error",),
    "dq_group_size": (0,),
}
DATA_AWARE = ("dataset", "num_samples", "scale_estimation", "gptq", "awq", "lora_correction", "statistics_path", "sensitivity_metric", "quant_method",
              "quantization_statistics_path", "smooth_quant_alpha", "quant_mode")
UNUSED = ("tokenizer", "processor")  # of a data set, which there is none of


def weights(quantization_config: Any, load_in_8bit: bool | None = None, dtype: Any = None) -> dict[str, Any]:
    """Of from_pretrained(export=True). Nothing given: dsv4's own choice, which is fp32 up to 10^9 parameters, as optimum's is.

    dtype: torch's or its name, fp16 where it is half precision; for a bigger type the weights are fp32 only if load_in_8bit=False says so.
    """
    if quantization_config is not None:
        return _quantized(_values(quantization_config))
    if load_in_8bit:
        return {"weight_format": "int8"}
    if str(dtype) in ("torch.float16", "float16"):
        return {"weight_format": "fp16"}
    if load_in_8bit is not None or str(dtype) in ("torch.float32", "float32"):
        return {"weight_format": "fp32"}
    return {}


def of_export(config: Any) -> dict[str, Any]:
    """Of an OVConfig, which main_export takes."""
    if config is None:
        return {}
    if config.quantization_config is not None:
        return _quantized(_values(config.quantization_config))
    return {"weight_format": config.dtype} if config.dtype in ("fp16", "fp32") else {}


def of_command(arguments: Any) -> dict[str, Any]:
    """Of `optimum-cli export openvino`. Its defaults are None."""
    given = {name: value for name, value in vars(arguments).items() if value not in (None, False)}
    _refuse({name: given[name] for name in DATA_AWARE if name in given}, "--{}".format)
    wanted = {name: given[name] for name in TAKEN if name in given}
    weight_format = given.get("weight_format")
    if weight_format is None and wanted:
        raise dsv4.UsageError(f"--{next(iter(wanted)).replace('_', '-')}: an option of compressed weights; give --weight-format too")
    return {"weight_format": weight_format, **wanted} if weight_format else {}


def _values(config: Any) -> dict[str, Any]:
    """Of a dict or an OVWeightQuantizationConfig; told by its name, for the class cannot even be made where NNCF is missing."""
    if isinstance(config, dict):
        return dict(config)
    if type(config).__name__ != "OVWeightQuantizationConfig":
        raise dsv4.UsageError(f"quantization_config: a {type(config).__name__}; dsv4 compresses weights only: give an OVWeightQuantizationConfig or a dict")
    values = dict(vars(config))
    values.update(values.pop("kwargs", None) or {})
    return {name: value for name, value in values.items() if not name.startswith("_")}


def _quantized(values: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in values.items() if value is not None and name not in UNUSED}
    bits, named = values.pop("bits", None), [values.pop(name) for name in ("dtype", "weight_format") if name in values]
    weight_format = named[0] if named else {None: "int8", 8: "int8", 4: "int4"}.get(bits)  # 8 is optimum's default
    if weight_format not in FORMATS:
        what = f"dtype={weight_format!r}" if named else f"bits={bits!r}"
        raise dsv4.UsageError(f"quantization_config: {what}; dsv4 has int8 (bits=8), int4 (bits=4) and mxfp4 (dtype='mxfp4')")
    options = {name: values.pop(name) for name in TAKEN if name in values}
    _refuse(values, "quantization_config: {}".format)
    if weight_format != "int4":  # values that optimum fills in: whole rows, all of them
        for name, usual in (("group_size", (-1,) if weight_format == "int8" else (32, -1)), ("ratio", (1,)), ("all_layers", (False,))):
            if options.get(name) in usual:
                options.pop(name)
    return {"weight_format": weight_format, **options}


def _refuse(values: dict[str, Any], name_of: Any) -> None:
    for name, value in values.items():
        plain = getattr(value, "value", value)  # of an enumeration
        if plain in (None, False) or plain == {} or plain == [] or plain in HARMLESS.get(name, ()):
            continue
        if name in DATA_AWARE:
            raise dsv4.UsageError(f"{name_of(name)}={plain!r}: compression by data; dsv4 compresses without, leave it out")
        raise dsv4.UsageError(f"{name_of(name)}={plain!r}: dsv4 has no such option; it takes bits, dtype, {', '.join(TAKEN)}")
