# DeepSeek-V4 as a model type that transformers and optimum-intel know. Importing this package is all that a program has to do.
"""dsv4_openvino: DeepSeek-V4 in optimum-intel.

    import dsv4_openvino
    from optimum.intel import OVModelForCausalLM

    model = OVModelForCausalLM.from_pretrained("DeepSeek-V4-Flash", export=True, quantization_config={"bits": 4})

docs/optimum.md says what it does and what it leaves alone. `register()` has been called once it is imported; calling it again does nothing.
"""
from __future__ import annotations

from ._register import register

__all__ = ["register"]

register()
