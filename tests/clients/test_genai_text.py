# openvino_genai.LLMPipeline on our folders, by text: the folder's tokenizer models, chat template and generation config together.
import openvino_genai
import pytest
import tokenizers
import transformers

from client_models import FORMATS

VERSE = "In the beginning God"


def greedy(count, chat=False):
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = count
    config.do_sample = False
    config.ignore_eos = True
    config.apply_chat_template = chat
    return config


class Expected:
    """Greedy answers, in and out through HF tokenizers and transformers' template."""

    def __init__(self, clients, weight_format):
        folder = clients.folder("mini", weight_format)
        self.clients, self.weight_format = clients, weight_format
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.template = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)

    def of_dsv4_run(self, prompt, count):
        return self.tokenizer.decode(self.clients.dsv4_run("mini", self.weight_format, self.tokenizer.encode(prompt).ids, count))

    def text(self, prompt, count):
        return self.tokenizer.decode(self.clients.greedy("mini", self.weight_format, self.tokenizer.encode(prompt).ids, count))

    def answer(self, messages, count):
        return self.text(self.template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True), count)


@pytest.fixture(scope="module")
def expected(clients):
    return Expected(clients, "fp32")


@pytest.mark.parametrize("weight_format", FORMATS)
def test_text_continues_as_in_dsv4_run(clients, weight_format):
    assert clients.genai("mini", weight_format).generate(VERSE, greedy(16)) == Expected(clients, weight_format).of_dsv4_run(VERSE, 16)


def test_two_texts_of_equal_length_in_a_batch(clients, expected):
    pair = ["And the LORD said", "And the LORD hath"]
    assert len({len(expected.tokenizer.encode(text).ids) for text in pair}) == 1
    assert clients.genai("mini", "fp32").generate(pair, greedy(12)).texts == [expected.text(text, 12) for text in pair]


def test_beam_search_on_text_returns_the_likeliest_continuation(clients, expected):
    config = greedy(6)
    config.num_beams = config.num_return_sequences = 2
    beams = clients.beams("mini", "fp32", expected.tokenizer.encode(VERSE).ids, 2, 6)
    texts = clients.genai("mini", "fp32").generate([VERSE], config).texts
    assert texts == [expected.tokenizer.decode(tokens) for _, tokens in beams]


def test_streamed_pieces_make_up_the_text(clients, expected):
    pieces = []

    def collect(piece):
        pieces.append(piece)
        return openvino_genai.StreamingStatus.RUNNING

    clients.genai("mini", "fp32").generate(VERSE, greedy(16), collect)
    assert len(pieces) > 4
    assert "".join(pieces) == expected.text(VERSE, 16)


def test_a_chat_goes_on_and_survives_a_changed_history(clients, expected):
    pipeline = clients.genai("mini", "fp32")
    messages = [{"role": "user", "content": VERSE}]

    def ask():
        answer = pipeline.generate(openvino_genai.ChatHistory(messages), greedy(12, chat=True)).texts[0]
        assert answer == expected.answer(messages, 12)
        return answer

    messages.append({"role": "assistant", "content": ask()})
    messages.append({"role": "user", "content": "And the LORD"})
    messages.append({"role": "assistant", "content": ask()})
    messages[0] = {"role": "user", "content": "Now Moses"}  # what the model has in its state is no prefix any more
    messages.append({"role": "user", "content": "Then said"})
    ask()
    del messages[2:]
    messages[1:] = []
    ask()


def test_start_chat_keeps_the_history_itself(clients, expected):
    pipeline = clients.genai("mini", "fp32")
    pipeline.start_chat()
    first = pipeline.generate(VERSE, greedy(8, chat=True))
    second = pipeline.generate("And the LORD", greedy(8, chat=True))
    pipeline.finish_chat()
    messages = [{"role": "user", "content": VERSE}]
    assert first == expected.answer(messages, 8)
    messages += [{"role": "assistant", "content": first}, {"role": "user", "content": "And the LORD"}]
    assert second == expected.answer(messages, 8)
