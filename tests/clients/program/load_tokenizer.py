# Loads a model folder's tokenizer without running the folder's code and prints what it makes of a batch; run by the Python of whatever release of transformers.
"""usage: load_tokenizer.py FOLDER TEXT..."""

import json
import sys

import transformers

tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=False)
batch = tokenizer(sys.argv[2:], padding=True)
print(json.dumps({"transformers": transformers.__version__, "padding_side": tokenizer.padding_side, "ids": batch["input_ids"], "mask": batch["attention_mask"]}))
