# Which models are DeepSeek-V4's, and where their files lie: a directory, the Hugging Face cache or, after a download, that cache.
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import dsv4

MODEL_TYPE = "deepseek_v4"
MODEL_FILE = "openvino_model.xml"
# What a conversion or a client reads of a repository; other forms of the same weights stay where they are.
FILES = ["*.json", "*.safetensors", "*.jinja", "LICENSE*", "openvino_*", "tokenizer*"]


def is_directory_of_v4(place: str | os.PathLike[str], subfolder: str = "") -> bool:
    try:
        config = json.loads(Path(place, subfolder, "config.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == MODEL_TYPE


def is_v4(place: str | os.PathLike[str], subfolder: str = "", revision: str | None = None, cache_dir: str | None = None) -> bool:
    """Without a look at the network: a directory's or the cache's config.json, else the repository's name."""
    if os.path.isdir(place):
        return is_directory_of_v4(place, subfolder)
    if _is_path(place):
        return False  # that it is missing is for the others to say
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(str(place), "/".join(filter(None, (subfolder, "config.json"))), cache_dir=cache_dir, revision=revision)
    except ValueError:  # no name of a repository
        return False
    if isinstance(cached, str):
        return is_directory_of_v4(Path(cached).parent)
    return "deepseek-v4" in str(place).lower().replace("_", "-")


def directory(place: str | os.PathLike[str], subfolder: str = "", **hub: Any) -> Path:
    """The directory with the files of a model. hub: revision, cache_dir, local_files_only, token, force_download, those of them that were given."""
    if os.path.isdir(place):
        return Path(place, subfolder)
    if _is_path(place):
        raise dsv4.Error(f"{place}: no such directory")
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(str(place), allow_patterns=FILES, **hub)
    except Exception as error:  # noqa: BLE001  offline, no such repository, no right to it, a full disk: one line for all
        reason = " ".join(str(error).split())[:300]
        raise dsv4.Error(f"{place}: neither a directory nor complete in the Hugging Face cache, and not downloaded ({type(error).__name__}: {reason}); "
                         f"where there is a network, `hf download {place} --local-dir DIR`, then give DIR") from error
    return Path(found, subfolder)


def _is_path(place: str | os.PathLike[str]) -> bool:
    text = os.fspath(place)
    return isinstance(place, os.PathLike) or text.startswith((".", "/", "~")) or text.count("/") > 1
