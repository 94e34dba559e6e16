# Makes transformers and optimum-intel know the model type, and says when their versions were never tried.
from __future__ import annotations

import importlib.metadata
import warnings

# From the first to before the second; docs/optimum.md names the releases that the tests ran with.
TESTED = {"optimum-intel": ((2, 2), (2, 3)), "transformers": ((4, 57), (5, 6))}

_warned: set[str] = set()


def register() -> None:
    """AutoConfig for `deepseek_v4` where transformers has none, and the hooks in optimum-intel where that is installed."""
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from .configuration_deepseek_v4 import DeepseekV4Config

    _warn_of_versions()
    if DeepseekV4Config.model_type not in CONFIG_MAPPING:  # transformers 5.17 and later have a class of their own
        AutoConfig.register(DeepseekV4Config.model_type, DeepseekV4Config)
    if _version("optimum-intel") is not None:
        from . import _hooks

        _hooks.install()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _warn_of_versions() -> None:
    for distribution, (first, end) in TESTED.items():
        version = _version(distribution)
        if version is None or distribution in _warned:
            continue
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if not first <= numbers < end:
            _warned.add(distribution)
            dotted = [".".join(map(str, bound)) for bound in (first, end)]
            warnings.warn(f"dsv4_openvino was tested with {distribution} from {dotted[0]} to before {dotted[1]}; this is {version}", stacklevel=4)
