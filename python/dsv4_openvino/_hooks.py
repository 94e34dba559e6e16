# Hooks in optimum-intel: what loads or exports a DeepSeek-V4 goes through dsv4, everything else through optimum's own functions, with the same arguments.
from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Callable

import dsv4

from . import _checkpoints, _folders, _options

FAST_VARIABLE = "DSV4_OPENVINO_FAST"
HUB_OPTIONS = ("revision", "cache_dir", "local_files_only", "token", "force_download")
TASKS = (None, "auto", "text-generation", "text-generation-with-past")
_MARK = "_dsv4_openvino"


def install() -> None:
    """Once for each function; what was installed before stays."""
    from optimum.exporters import openvino as exporters
    from optimum.exporters.openvino import __main__ as exporter
    from optimum.intel import OVModelForCausalLM

    for name, hook in (("from_pretrained", _from_pretrained), ("_export", _export)):
        original = getattr(OVModelForCausalLM, name).__func__
        if not hasattr(original, _MARK):
            setattr(OVModelForCausalLM, name, classmethod(_marked(original, hook)))
    if not hasattr(OVModelForCausalLM._save_pretrained, _MARK):
        OVModelForCausalLM._save_pretrained = _marked(OVModelForCausalLM._save_pretrained, _save_pretrained)
    if not hasattr(exporter.main_export, _MARK):
        exporter.main_export = exporters.main_export = _marked(exporter.main_export, _main_export)


def _marked(original: Callable[..., Any], hook: Callable[..., Any]) -> Callable[..., Any]:
    hooked = functools.wraps(original)(functools.partial(hook, original))

    @functools.wraps(original)
    def function(*arguments: Any, **options: Any) -> Any:
        return hooked(*arguments, **options)

    setattr(function, _MARK, True)
    return function


def _from_pretrained(original: Callable[..., Any], cls: type, model_id: Any, export: bool = False, **options: Any) -> Any:
    """With fast=True (or DSV4_OPENVINO_FAST=1) dsv4's CPU program instead of the portable graph, of a checkpoint as of a folder."""
    subfolder = options.get("subfolder") or ""
    if not _checkpoints.is_v4(model_id, subfolder, options.get("revision"), options.get("cache_dir")):
        return original(cls, model_id, export=export, **options)
    place = _checkpoints.directory(model_id, **{name: options.pop(name) for name in ("subfolder", *HUB_OPTIONS) if options.get(name) is not None})
    for name in ("subfolder", *HUB_OPTIONS):
        options.pop(name, None)  # of a name; from here on it is a directory
    wants_fast = options.pop("fast", None)
    if wants_fast is None:
        wants_fast = os.environ.get(FAST_VARIABLE, "") not in ("", "0")
    is_folder = (place / options.get("file_name", _checkpoints.MODEL_FILE)).is_file()
    if export and is_folder and not any(place.glob("*.safetensors")):
        _folders.logger.warning("%s: converted already, loaded as it is", place)
        export = False
    if export or not is_folder:
        if wants_fast:
            options["fast"] = True
        return original(cls, os.fspath(place), export=True, **options)
    if _folders.is_fast(place):
        _check_fast(options)
        return _keep(original(cls, os.fspath(place), export=False, **options), None, place)
    if not wants_fast:
        return original(cls, os.fspath(place), export=False, **options)
    home = _folders.TemporaryFolder()
    folder = _fast_program(place, home, options)
    model = original(cls, os.fspath(folder), export=False, **options)
    return _keep(model, home, folder)


def _export(original: Callable[..., Any], cls: type, model_id: Any, config: Any, **options: Any) -> Any:
    if getattr(config, "model_type", None) != _checkpoints.MODEL_TYPE:
        return original(cls, model_id, config, **options)
    from transformers import AutoConfig

    hub = {name: options.pop(name, None) for name in HUB_OPTIONS}
    place = _checkpoints.directory(model_id, options.pop("subfolder", None) or "", **{name: value for name, value in hub.items() if value is not None})
    _check_task(options.pop("task", None))
    for name in ("trust_remote_code", "compile_only"):
        options.pop(name, None)  # no code of the checkpoint runs; a model that was only compiled has nothing to export to
    use_cache = options.pop("use_cache", True)
    if options.pop("stateful", use_cache) != use_cache:
        raise dsv4.UsageError(f"stateful={not use_cache}, use_cache={use_cache}: DeepSeek-V4 keeps its caches in the model's state or, with use_cache=False, nowhere")
    wants_fast = options.pop("fast", False)
    dtypes = [options.pop(name, None) for name in ("torch_dtype", "dtype")]
    weights = _options.weights(options.pop("quantization_config", None), options.pop("load_in_8bit", None), next(filter(None, dtypes), None))
    for name in ("variant", "model_kwargs"):
        if options.pop(name, None):
            raise dsv4.UsageError(f"{name}: a checkpoint of DeepSeek-V4 has one form; leave it out")

    home = _folders.TemporaryFolder()
    folder = home.path / "model"
    _folders.convert(place, folder, disable_stateful=not use_cache, **weights)
    if wants_fast:
        if not use_cache:
            raise dsv4.UsageError("fast=True, use_cache=False: the CPU program keeps state; leave one of them out")
        folder = _fast_program(folder, home, options)
    name = config.name_or_path
    config = AutoConfig.from_pretrained(folder)
    config._name_or_path = name or os.fspath(place)
    model = cls._from_pretrained(model_id=folder, config=config, use_cache=use_cache, **options)
    return _keep(model, home, folder if wants_fast else None)


def _check_fast(options: dict[str, Any]) -> None:
    """And the operations loaded."""
    if options.get("use_cache") is False:
        raise dsv4.UsageError("fast=True, use_cache=False: the CPU program keeps state; leave one of them out")
    if not str(options.get("device") or "CPU").upper().startswith("CPU"):
        raise dsv4.UsageError(f"fast=True, device={options['device']!r}: the CPU program runs on the CPU; leave one of them out")
    for name in ("quantization_config", "load_in_8bit"):
        if options.get(name):
            raise dsv4.UsageError(f"{name}: the folder's weights are what they are; convert the checkpoint with it")
    _load_operations()


def _fast_program(folder: Path, home: _folders.TemporaryFolder, options: dict[str, Any]) -> Path:
    _check_fast(options)
    out = home.path / "fast"
    _folders.fast(folder, out)
    return out


@functools.lru_cache(maxsize=1)
def _load_operations() -> None:
    from optimum.intel.openvino.modeling_base import core

    core.add_extension(dsv4.ops_library())


def _keep(model: Any, home: _folders.TemporaryFolder | None, folder: Path | None) -> Any:
    """The files stay until the model is gone. folder: what save_pretrained copies instead of writing the graph anew."""
    model._dsv4_home, model._dsv4_folder = home, folder
    return model


def _save_pretrained(original: Callable[..., Any], model: Any, save_directory: Any) -> None:
    """The CPU program finds its weights in the file beside it: that goes along, byte by byte."""
    folder = getattr(model, "_dsv4_folder", None)
    if folder is None:
        return original(model, save_directory)
    for file in folder.iterdir():
        shutil.copyfile(file, Path(save_directory, file.name))
    return None


def _main_export(original: Callable[..., Any], model_name_or_path: Any, output: Any, *arguments: Any, **options: Any) -> Any:
    """optimum.exporters.openvino.main_export, which other programs call."""
    where = (options.get("subfolder") or "", options.get("revision"), options.get("cache_dir"))
    if arguments or not _checkpoints.is_v4(model_name_or_path, *where):
        return original(model_name_or_path, output, *arguments, **options)
    hub = {name: options[name] for name in HUB_OPTIONS if options.get(name) is not None}
    _export_to(_checkpoints.directory(model_name_or_path, where[0], **hub), Path(output), options.get("task"), _options.of_export(options.get("ov_config")),
               stateful=options.get("stateful", True), convert_tokenizer=options.get("convert_tokenizer", False))
    return None


def run_command(original: Callable[..., Any], command: Any) -> Any:
    """`optimum-cli export openvino`: optimum would compress what was exported a second time, so the whole command is done here."""
    arguments = command.args
    if not _checkpoints.is_v4(arguments.model, cache_dir=arguments.cache_dir):
        return original(command)
    try:
        weights = _options.of_command(arguments)
        for name in ("variant", "model_kwargs", "pad_token_id"):
            if getattr(arguments, name, None) is not None:
                raise dsv4.UsageError(f"--{name.replace('_', '-')}: dsv4 has no such option; leave it out")
        place = _checkpoints.directory(arguments.model, **({"cache_dir": arguments.cache_dir} if arguments.cache_dir else {}))
        _export_to(place, Path(arguments.output), arguments.task, weights, stateful=not arguments.disable_stateful,
                   convert_tokenizer=not arguments.disable_convert_tokenizer, notice=lambda line: print(f"dsv4: {line}", file=sys.stderr))
    except dsv4.Error as error:
        print(f"dsv4: error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, dsv4.UsageError) else 1)
    return None


def _export_to(checkpoint: Path, out: Path, task: Any, weights: dict[str, Any], *, stateful: bool, convert_tokenizer: bool, **told: Any) -> None:
    _check_task(task)
    if out.is_dir() and not out.is_symlink() and not any(out.iterdir()):
        out.rmdir()  # callers of optimum make the folder; a conversion appears all at once
    options = dict(weights, disable_stateful=not stateful, disable_convert_tokenizer=not convert_tokenizer)
    dsv4.convert(checkpoint, out, **{"notice": _folders.logger.info, **told}, **options)


def _check_task(task: Any) -> None:
    if task not in TASKS:
        raise dsv4.UsageError(f"task {task!r}: DeepSeek-V4 generates text; give text-generation-with-past or leave it out")
