# Bytes that a decoded token reads of a GGUF file of DeepSeek-V4, as JSON by part; runs in the environment of llama.cpp's converter.
"""usage: gguf_bytes.py LLAMA_SOURCE FILE.gguf"""

import json
import sys

sys.path.insert(0, f"{sys.argv[1]}/gguf-py")

import gguf  # noqa: E402


def main():
    reader = gguf.GGUFReader(sys.argv[2])
    fields = {name.partition(".")[2]: field for name, field in reader.fields.items()}
    experts, used = (int(fields[key].contents()) for key in ("expert_count", "expert_used_count"))
    parts = {"head": 0, "dense": 0, "experts": 0}
    for tensor in reader.tensors:
        size = int(tensor.n_bytes)
        if tensor.name.endswith("_exps.weight"):
            parts["experts"] += size * used // experts
        elif tensor.name == "output.weight":
            parts["head"] += size
        elif tensor.name not in ("token_embd.weight",) and not tensor.name.endswith("tid2eid.weight"):  # of these a token reads one row
            parts["dense"] += size
    parts["total"] = sum(parts.values())
    print(json.dumps(parts))


if __name__ == "__main__":
    main()
