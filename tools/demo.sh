#!/usr/bin/env bash
# The demonstration: the toy and the mini model in every format, compared with the plain reference, run, and put side by side. `make demo` builds first.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."

dsv4=build/release/dsv4
demo=build/demo
formats=(fp32 fp16 int8 int4 mxfp4 published)
if [ ! -x "$dsv4" ]; then
  echo "demo: $dsv4 is not built; run: make demo" >&2
  exit 1
fi
rm -rf "$demo"
mkdir -p "$demo"

# field FILE EXPRESSION: a Python expression over the JSON document `d`.
field() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)
machine="${processor:-$(uname -m)}, $(nproc) threads, OpenVINO 2026.4.1"
row='%-5s %-9s  %10s  %10s  %12s  %10s  %9s  %8s  %8s\n'
# shellcheck disable=SC2059
table=$(printf "$row" model form 'bin, bytes' perplexity 'greedy match' 'mean diff.' 'max diff.' 'IR error' 'tokens/s')

# convert_and_verify NAME CHECKPOINT FORMAT TOKENS: the folder $demo/NAME-FORMAT and the comparison beside it.
convert_and_verify() {
  local model=$demo/$1-$3
  local group=()
  if [ "$3" = int4 ]; then group=(--group-size 32); fi  # rows of models this small are no multiple of 128
  "$dsv4" convert -m "$2" "$model" --weight-format "$3" "${group[@]}"
  "$dsv4" verify "$2" "$model" --tokens "$4" --card --json > "$model.verify.json"
}

# add_row NAME FORMAT PERPLEXITY
add_row() {
  local model=$demo/$1-$2
  # shellcheck disable=SC2059
  table+=$'\n'$(printf "$row" "$1" "$2" "$(stat -c %s "$model/openvino_model.bin")" "$3" \
    "$(field "$model.verify.json" '"%d of %d" % (d["against_checkpoint"]["greedy_match"], d["tokens"])')" \
    "$(field "$model.verify.json" '"%.4f" % d["against_checkpoint"]["mean_difference"]')" \
    "$(field "$model.verify.json" '"%.3f" % d["against_checkpoint"]["max_difference"]')" \
    "$(field "$model.verify.json" '"%.0e" % d["against_prediction"]["max_difference"]')" \
    "$(field "$model.run.json" '"%.1f" % d["decode_tokens_per_second"]')")
}

# same_tokens FILE FILE: how many tokens two runs have alike from the first on.
same_tokens() {
  python3 -c '
import itertools, json, sys
a, b = (json.load(open(name))["tokens"] for name in sys.argv[1:])
print(sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b))))' "$1" "$2"
}

echo "== toy: a checkpoint with random weights in DeepSeek's published format (its output means nothing)"
"$dsv4" synth toy "$demo/toy" --seed 0
"$dsv4" inspect "$demo/toy"
vocabulary=$(field "$demo/toy/config.json" 'd["vocab_size"]')
toy_tokens=$(python3 -c 'import sys; print(",".join(str((37 * i * i + 11 * i + 5) % int(sys.argv[1])) for i in range(200)))' "$vocabulary")
for format in "${formats[@]}"; do
  echo
  echo "== toy, $format: convert, verify against the reference, run"
  convert_and_verify toy "$demo/toy" "$format" "$toy_tokens"
  "$dsv4" run "$demo/toy-$format" --tokens "$(cut -d, -f1-8 <<<"$toy_tokens")" -n 48 --ignore-eos --json > "$demo/toy-$format.run.json"
  if [ "$format" = fp32 ]; then
    echo "greedy, 48 token ids: $(field "$demo/toy-fp32.run.json" '",".join(map(str, d["tokens"]))')"
  else
    echo "greedy: of 48 tokens the first $(same_tokens "$demo/toy-fp32.run.json" "$demo/toy-$format.run.json") are those of fp32"
  fi
  add_row toy "$format" '-'
done

echo
echo "== mini: a really trained, very small model (3.4 M parameters, King James Bible text; models/mini/README.md)"
"$dsv4" inspect models/mini
goldens=tests/data/goldens/mini/tokens.json
text=$(field "$goldens" 'd["greedy"]["p1"]["text"]')
held_out=$(field "$goldens" '",".join(map(str, d["tokens"][:200]))')
field "$goldens" '" ".join(map(str, d["tokens"]))' > "$demo/held-out.txt"
prompt=$(tr '\n' ' ' <<<"$text")
echo "prompt: $prompt"
for format in "${formats[@]}"; do
  echo
  echo "== mini, $format: convert, verify against the reference, continue the prompt"
  convert_and_verify mini models/mini "$format" "$held_out"
  "$dsv4" run "$demo/mini-$format" -p "$text" -n 48 --ignore-eos --json > "$demo/mini-$format.run.json"
  "$dsv4" perplexity "$demo/mini-$format" --tokens-file "$demo/held-out.txt" --json > "$demo/mini-$format.perplexity.json"
  echo "greedy: $(field "$demo/mini-$format.run.json" 'd["text"]' | tr '\n' ' ')"
  if [ "$(field "$demo/mini-$format.run.json" 'd["tokens"]')" = "$(field "$goldens" 'd["greedy"]["p1"]["greedy"]')" ]; then
    echo "        the same 48 tokens as transformers 5.23.0 gives in float32"
  fi
  if [ "$format" = fp32 ]; then
    # Greedy text of a model this small soon repeats itself.
    sampled=$("$dsv4" run "$demo/mini-fp32" -p "$text" -n 48 --ignore-eos --temp 0.8 --top-p 0.95 --seed 1 -q)
    echo "sampled (temperature 0.8, top-p 0.95, seed 1): $(tr '\n' ' ' <<<"$sampled")"
  fi
  if [ "$format" = fp32 ]; then
    # What the model was trained on: a person begins a verse, the model goes on with it.
    echo "chat (greedy):"
    for verse in 'In the beginning God created' 'And the LORD spake unto Moses,'; do
      echo "  user       $verse"
      echo "  assistant  $("$dsv4" chat "$demo/mini-fp32" --temperature 0 -n 32 <<<"$verse" | tr '\n' ' ')"
    done
  fi
  add_row mini "$format" "$(field "$demo/mini-$format.perplexity.json" '"%.3f" % d["perplexity"]')"
done

echo
build/venv/bin/python tools/demo_table.py "$demo" toy
cat <<END

$table

bin           bytes of the weights' file.
perplexity    how well the model predicts a text, over all held-out tokens: the number that says what a format costs. toy has random weights, so none.
greedy match  of 200 tokens, after how many the most likely next token is that of the checkpoint as published, in float32.
mean, max     difference of the logits to the same. The largest one says little: where a rounding makes a router pick another expert, all logits of
              that token move, at random weights most of all (logits reach 11 for toy, 26 for mini).
IR error      largest difference to the weights as the folder stores them: what OpenVINO's graph adds.
tokens/s      greedy, one sequence; models this small say nothing about the speed of a large one.

toy: random weights, 200 tokens made by a formula. mini: really trained, 3.4 M parameters, the first 200 held-out tokens.
Machine: $machine

What you can type next:
  echo 'In the beginning' | $dsv4 run $demo/mini-int8 --echo --temp 0.8 -n 60
  $dsv4 chat $demo/mini-int8 -n 60
  $dsv4 bench $demo/mini-int8 -p 32,128 -n 32 -o md
  $dsv4 convert -m CHECKPOINT OUT --dry-run      # your own DeepSeek-V4 checkpoint: what it would become, and how long that takes
END
