# Runs llama.cpp's convert_hf_to_gguf.py on a checkpoint whose tokenizer it does not know: without a vocabulary, only the number of tokens.
"""usage: gguf_toy.py LLAMA_SOURCE, then the arguments of convert_hf_to_gguf.py

It recognises tokenizers by a hash of what they make of a text, and a synthetic one is not in its list. llama-bench needs none.
"""

import sys

source = sys.argv.pop(1)
sys.path.insert(0, source)

import convert_hf_to_gguf  # noqa: E402
from conversion.deepseek import DeepseekV4Model  # noqa: E402


def no_vocabulary(model):
    model.gguf_writer.add_tokenizer_model("none")
    model.gguf_writer.add_vocab_size(model.hparams["vocab_size"])


DeepseekV4Model.set_vocab = no_vocabulary
sys.argv[0] = f"{source}/convert_hf_to_gguf.py"
convert_hf_to_gguf.main()
