# OpenVINO's GPU plugin has a factory for ScatterNDUpdate-3 and none for ScatterNDUpdate-15, of which only the reduction "none" is turned into the former: a model that
# adds up (reduction "sum") compiles on the CPU and not on a GPU. Told from the names in the plugin's file; no GPU is needed.
"""usage: python gpu_operations.py [openvino_model.xml]    (needs openvino). Exit code 0: the finding holds; 1: it does not any more; 77: no GPU plugin here.

With an IR it also lists the operations of the IR that the plugin has no factory for.
"""
import re
import sys
import xml.etree.ElementTree as tree
from pathlib import Path

import openvino as ov


def factories():
    """{(type in lower case, opset number)} of a plugin's registrations."""
    plugin = Path(ov.__file__).parent / "libs/libopenvino_intel_gpu_plugin.so"
    if not plugin.is_file():
        return None
    names = re.findall(rb"__register_([A-Za-z0-9]+?)_v(\d+)", plugin.read_bytes())
    return {(name.decode().lower(), int(version)) for name, version in names}


def missing(ir, known):
    """By the type alone: which opset an IR means depends on the operation's own history."""
    types = {name for name, _ in known}
    aliases = {"const": "constant"}
    used = {layer.get("type") for layer in tree.parse(ir).iter("layer")}
    return sorted(name for name in used if aliases.get(name.lower(), name.lower()) not in types)


def main():
    known = factories()
    if known is None:
        print("no GPU plugin in this OpenVINO")
        return 77
    versions = sorted(version for name, version in known if name == "scatterndupdate")
    print(f"{len(known)} factories; ScatterNDUpdate: versions {versions}")
    for ir in sys.argv[1:]:
        print(f"{ir}: without a factory: {', '.join(missing(ir, known)) or 'none'}")
    holds = 15 not in versions and 3 in versions
    print("the finding holds" if holds else "the finding does not hold any more", "with OpenVINO", ov.__version__)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
