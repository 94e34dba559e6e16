# optimum-intel has no way by which a package could export a model type that optimum-intel does not know: registering it with transformers is not enough, and
# custom_export_configs wants the model as a torch module. dsv4_openvino wraps functions of optimum-intel instead.
"""usage: python external_exporter.py    (needs optimum-intel). Exit code 0: the finding holds; 1: it does not any more."""
import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig


class Config(PretrainedConfig):
    model_type = "a_type_of_another_package"


def main():
    AutoConfig.register(Config.model_type, Config)
    from optimum.exporters.openvino import main_export

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "checkpoint")
        checkpoint.mkdir()
        (checkpoint / "config.json").write_text(json.dumps({"model_type": Config.model_type, "architectures": ["ThingForCausalLM"]}))
        try:
            main_export(str(checkpoint), Path(folder, "out"), task="text-generation-with-past", library_name="transformers")
            holds = False
        except ValueError as error:
            print(str(error)[:200])
            holds = "custom or unsupported architecture" in str(error)
    hooks = [group for group in importlib.metadata.entry_points().groups if "optimum" in group and "export" in group]
    print("entry points for exporters:", hooks or "none")
    holds = holds and not hooks
    print("the finding holds" if holds else "the finding does not hold any more", "with optimum-intel", importlib.metadata.version("optimum-intel"))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
