# dsv4 run: its logits and greedy continuations against the references, its JSON, its sampling.
import json
import math

import numpy as np
import pytest

import goldens
import program

GREEDY = [(name, index) for name, count in (("toy", 2), ("hash", 2), ("mini", 3)) for index in range(count)]
FP16 = ("--weight-format", "fp16")


@pytest.mark.parametrize("flags", [(), FP16, ("--disable-stateful",)], ids=lambda flags: flags[-1].strip("-") if flags else "fp32")
@pytest.mark.parametrize("name", goldens.NAMES)
def test_logits_are_the_references(library, tmp_path, name, flags):
    golden = library.golden(name)
    logits = program.logits(library.folder(name, *flags), golden.tokens, tmp_path / "logits.npy")
    assert logits.dtype == np.float32 and logits.shape == (len(golden.tokens), golden.vocabulary)
    for reference, expected in golden.references.items():
        difference = np.abs(logits[:len(expected)] - expected)
        assert difference.max() <= 1e-4 * golden.max_logit, reference
        assert difference.mean() <= 1e-5, reference
        assert (logits[:len(expected)].argmax(1) == expected.argmax(1)).all(), reference


@pytest.mark.parametrize("name,index", GREEDY)
def test_greedy_continuations_are_the_references(library, name, index):
    golden = library.golden(name)
    assert len(golden.greedy) == sum(other == name for other, _ in GREEDY)
    prompt, continuation = golden.greedy[index]
    assert program.generate(library.folder(name), prompt, len(continuation), "--ignore-eos")["tokens"] == continuation


def test_greedy_continuation_of_the_fp16_folder(library):
    prompt, continuation = library.golden("mini").greedy[0]
    assert program.generate(library.folder("mini", *FP16), prompt, len(continuation), "--ignore-eos")["tokens"] == continuation


def test_greedy_continuation_of_the_prefill_only_folder(library):
    prompt, continuation = library.golden("toy").greedy[0]
    assert program.generate(library.folder("toy", "--disable-stateful"), prompt, 8, "--ignore-eos")["tokens"] == continuation[:8]


def test_stops_at_the_end_of_sequence_token(library):
    golden = library.golden("hash")
    prompt, continuation = next(pair for pair in golden.greedy if 1 in pair[1][:-1])  # 1 is the config's eos_token_id
    stop = continuation.index(1) + 1
    found = program.generate(library.folder("hash"), prompt, len(continuation))
    assert found["tokens"] == continuation[:stop]
    assert found["finish_reason"] == "stop"


def test_json_has_the_documented_fields(library):
    found = program.generate(library.folder("toy"), [5, 6, 7], 4, "--ignore-eos")
    assert list(found) == ["tokens", "prompt_tokens", "finish_reason", "program", "open_seconds", "prefill_seconds", "prefill_tokens_per_second",
                           "decode_tokens_per_second", "disk_bytes_read"]
    assert len(found["tokens"]) == 4 and all(isinstance(token, int) and 0 <= token < 512 for token in found["tokens"])
    assert found["prompt_tokens"] == 3
    assert found["finish_reason"] == "length"
    assert found["program"] == "cpu"
    assert found["disk_bytes_read"] >= 0
    assert found["prefill_tokens_per_second"] == pytest.approx(3 / found["prefill_seconds"])
    for key in ("open_seconds", "prefill_seconds", "decode_tokens_per_second"):
        assert math.isfinite(found[key]) and found[key] > 0, key


def test_without_json_the_tokens_alone_go_to_stdout(library):
    prompt, continuation = library.golden("toy").greedy[0]
    outcome = program.succeed("run", library.folder("toy"), "--tokens", program.token_list(prompt), "-n", 5, "--ignore-eos", *program.EXACT)
    assert outcome.out == program.token_list(continuation[:5]) + "\n"
    assert all(line.startswith("dsv4: ") for line in outcome.err.splitlines())


def test_token_files_in_each_form_are_the_same_prompt(library, tmp_path):
    prompt = library.golden("toy").tokens[:20].tolist()
    expected = program.generate(library.folder("toy"), prompt, 4)["tokens"]
    for text in (json.dumps(prompt), program.token_list(prompt), "\n".join(map(str, prompt)) + "\n"):
        (tmp_path / "tokens").write_text(text)
        found = json.loads(program.succeed("run", library.folder("toy"), "--tokens-file", tmp_path / "tokens", "-n", 4, "--json", *program.EXACT).out)
        assert found["tokens"] == expected


def test_a_prompt_longer_than_a_chunk(library):
    """Logits of the last position only, past the program's own chunk size, against the references' next token."""
    golden = library.golden("hash")
    expected = golden.references["logits_transformers"]
    for length in (512, 513, 600):
        found = program.generate(library.folder("hash"), golden.tokens[:length], 1, "--ignore-eos")
        assert found["tokens"] == [int(expected[length - 1].argmax())]


def sample(library, *flags, count=24):
    prompt = library.golden("toy").tokens[:30]
    return program.generate(library.folder("toy"), prompt, count, "--ignore-eos", *flags)["tokens"]


def test_output_that_cannot_be_written_is_an_error(library):
    with open("/dev/full", "w") as full:
        done = program.start("run", library.folder("toy"), "--tokens", "1,2", "-n", 3, stdout=full)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("dsv4: error: ")]


def test_sampling_depends_on_the_seed_alone(library):
    first = sample(library, "--temperature", 1, "--seed", 7)
    assert sample(library, "--temperature", 1, "--seed", 7) == first
    assert sample(library, "--temperature", 1, "--seed", 8) != first


def test_sampling_is_greedy_at_its_limits(library):
    greedy = sample(library, count=8)
    assert sample(library, "--temperature", 0, "--seed", 3, count=8) == greedy
    assert sample(library, "--temperature", 1, "--top-p", 1e-6, "--seed", 3, count=8) == greedy
    assert sample(library, "--temperature", 1e-4, "--seed", 3, count=8) == greedy


def test_sampled_tokens_lie_in_the_nucleus(library):
    golden = library.golden("toy")
    logits = golden.references["logits_transformers"][29].astype(np.float64)
    chance = np.exp(logits - logits.max())
    order = np.argsort(-chance, kind="stable")
    nucleus = set(order[:int(np.searchsorted(np.cumsum(chance[order]) / chance.sum(), 0.6)) + 1].tolist())
    assert 1 < len(nucleus) < golden.vocabulary
    drawn = {sample(library, "--temperature", 1, "--top-p", 0.6, "--seed", seed, count=1)[0] for seed in range(6)}
    assert drawn <= nucleus and len(drawn) > 1


GENESIS = "Genesis 1\n\nIn the beginning"


@pytest.mark.parametrize("name", ["p1", "p2", "p3"])
def test_text_continues_as_transformers_continues_it(library, name):
    """Prompts as text, against transformers' tokens: of the prompt (with BOS) and of its greedy continuation."""
    golden = json.loads((goldens.TESTS / "data/goldens/mini/tokens.json").read_text())["greedy"][name]
    found = json.loads(program.succeed("run", library.folder("mini"), "-p", golden["text"], "-n", len(golden["greedy"]), "--ignore-eos", "--json", *program.EXACT).out)
    assert found["tokens"] == golden["greedy"]
    assert found["prompt_tokens"] == len(golden["prompt"])
    assert list(found)[:3] == ["tokens", "text", "prompt_tokens"]


def test_text_is_printed_as_it_is_generated(library):
    outcome = program.succeed("run", library.folder("mini"), "-p", GENESIS, "-n", 40)
    found = json.loads(program.succeed("run", library.folder("mini"), "-p", GENESIS, "-n", 40, "--json").out)
    assert outcome.out == found["text"] + "\n"
    # models/mini/README.md has the continuation as text.
    assert outcome.out.startswith(" of the LORD, and the LORD commanded Moses, and the Levites, and the Levites")


def test_a_text_prompt_begins_with_bos_unless_asked_not_to(library):
    def prompt_tokens(*arguments):
        return json.loads(program.succeed("run", library.folder("mini"), *arguments, "-n", 2, "--json").out)

    with_bos, without = prompt_tokens("-p", GENESIS), prompt_tokens("-p", GENESIS, "--no-bos")
    assert with_bos["prompt_tokens"] == without["prompt_tokens"] + 1
    assert prompt_tokens("-p", "<｜begin▁of▁sentence｜>" + GENESIS)["tokens"] == with_bos["tokens"]
    assert prompt_tokens("-p", "<｜begin▁of▁sentence｜>" + GENESIS)["prompt_tokens"] == with_bos["prompt_tokens"]
    assert prompt_tokens("-p", "")["prompt_tokens"] == 1
    program.refuse("run", library.folder("mini"), "-p", "", "--no-bos", naming=["-p", "--no-bos"])


def test_a_text_prompt_that_is_not_utf8_is_refused(library):
    program.refuse("run", library.folder("mini"), "-p", b"caf\xe9".decode("utf-8", "surrogateescape"), naming=["byte 3", "UTF-8"])
