#!/usr/bin/env bash
# The demonstration: the toy and the mini model converted to fp32 and fp16, compared with the plain reference, and run. `make demo` builds first.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."

dsv4=build/release/dsv4
demo=build/demo
if [ ! -x "$dsv4" ]; then
  echo "demo: $dsv4 is not built; run: make demo" >&2
  exit 1
fi
rm -rf "$demo"
mkdir -p "$demo"

# field FILE EXPRESSION: a Python expression over the JSON document `d`.
field() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

# The text of token ids in the mini model's byte-level vocabulary. dsv4 itself has no tokenizer yet.
decode() {
  python3 - "$1" "$2" <<'PYTHON'
import json, sys
tokenizer = json.load(open(sys.argv[1]))
vocabulary = {number: text for text, number in tokenizer["model"]["vocab"].items()}
special = {token["id"] for token in tokenizer["added_tokens"]}
printable = [*range(33, 127), *range(161, 173), *range(174, 256)]  # these bytes stand for themselves, the others for 256 and on
byte_of = {chr(byte): byte for byte in printable}
byte_of.update({chr(256 + i): byte for i, byte in enumerate(byte for byte in range(256) if byte not in printable)})
pieces = [vocabulary[int(number)] for number in sys.argv[2].split(",") if int(number) not in special]
print(bytes(byte_of[c] for piece in pieces for c in piece).decode("utf-8", "replace"))
PYTHON
}

processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)
machine="${processor:-$(uname -m)}, $(nproc) threads, OpenVINO 2026.4.1"
table=$(printf '%-5s %-4s  %10s  %14s  %14s  %12s  %8s' model form 'bin, bytes' 'max difference' 'mean difference' 'greedy match' 'tokens/s')

# try_model NAME CHECKPOINT FORMAT PROMPT VERIFY_TOKENS: converts, verifies, runs; adds a line to the table.
try_model() {
  local name=$1 checkpoint=$2 format=$3 prompt=$4 verify_tokens=$5
  local model=$demo/$name-$format
  echo
  echo "== $name, $format: convert, verify against the reference, run"
  "$dsv4" convert -m "$checkpoint" "$model" --weight-format "$format"
  "$dsv4" verify "$checkpoint" "$model" --tokens "$verify_tokens" --json > "$model.verify.json"
  "$dsv4" run "$model" --tokens "$prompt" -n 48 --ignore-eos --json > "$model.run.json"
  local tokens match line
  tokens=$(field "$model.run.json" '",".join(map(str, d["tokens"]))')
  match=$(field "$model.verify.json" 'str(d["against_checkpoint"]["greedy_match"]) + " of " + str(d["tokens"])')
  echo "prompt:  $prompt"
  echo "greedy:  $tokens"
  if [ -f "$checkpoint/tokenizer.json" ]; then
    echo "as text: $(decode "$checkpoint/tokenizer.json" "$prompt,$tokens" | tr '\n' ' ')"
    if [ "$tokens" = "$(field tests/data/goldens/mini/tokens.json '",".join(map(str, d["greedy"]["p1"]["greedy"]))')" ]; then
      echo "         the same 48 tokens as transformers 5.23.0 gives in float32"
    else
      echo "         not the same 48 tokens as transformers 5.23.0 gives in float32"
    fi
  fi
  line=$(printf '%-5s %-4s  %10d  %14.2e  %14.2e  %12s  %8.1f' "$name" "$format" "$(stat -c %s "$model/openvino_model.bin")" \
    "$(field "$model.verify.json" 'd["against_checkpoint"]["max_difference"]')" "$(field "$model.verify.json" 'd["against_checkpoint"]["mean_difference"]')" "$match" \
    "$(field "$model.run.json" 'd["decode_tokens_per_second"]')")
  table+=$'\n'$line
}

echo "== toy: a checkpoint with random weights in DeepSeek's published format (its output means nothing)"
"$dsv4" synth toy "$demo/toy"
"$dsv4" inspect "$demo/toy"
vocabulary=$(field "$demo/toy/config.json" 'd["vocab_size"]')
toy_tokens=$(python3 -c 'import sys; print(",".join(str((37 * i * i + 11 * i + 5) % int(sys.argv[1])) for i in range(200)))' "$vocabulary")
for format in fp32 fp16; do
  try_model toy "$demo/toy" "$format" "$(cut -d, -f1-8 <<<"$toy_tokens")" "$toy_tokens"
done

echo
echo "== mini: a really trained, very small model (3.4 M parameters, King James Bible text; models/mini/README.md)"
"$dsv4" inspect models/mini
prompt=$(field tests/data/goldens/mini/tokens.json '",".join(map(str, d["greedy"]["p1"]["prompt"]))')
held_out=$(field tests/data/goldens/mini/tokens.json '",".join(map(str, d["tokens"][:200]))')
for format in fp32 fp16; do
  try_model mini models/mini "$format" "$prompt" "$held_out"
done

cat <<END

toy: random weights, 200 tokens made by a formula. mini: really trained, 3.4 M parameters, the first 200 held-out tokens.
Differences are between logits and the plain reference forward in float32; greedy match: positions where the most likely token is the same.
tokens/s: greedy decoding of 48 tokens, one sequence, after the prompt. Models this small say nothing about the speed of a large one.
Machine: $machine

$table
END
