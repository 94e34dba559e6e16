# openvino_genai.LLMPipeline on our folders, by token ids: greedy ids are those of `dsv4 run`, batches and beams those of an independent computation.
import numpy as np
import openvino
import openvino_genai
import pytest

from client_models import FORMATS

PAIR = ([0, 5, 77, 300, 12, 9, 41], [0, 43, 80, 261, 794, 267, 80])  # of equal length: GenAI pads on the left, which changes a V4 row


def greedy(count):
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = count
    config.do_sample = False
    config.ignore_eos = True
    return config


def tensor(rows):
    return openvino.Tensor(np.atleast_2d(np.asarray(rows, np.int64)))


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("name", ["toy", "mini"])
def test_greedy_ids_are_those_of_dsv4_run(clients, library, name, weight_format):
    prompt, continuation = library.golden(name).greedy[0]
    ids = clients.genai(name, weight_format).generate(tensor(prompt), greedy(16)).tokens[0]
    assert ids == clients.dsv4_run(name, weight_format, prompt, 16)
    if weight_format == "fp32":
        assert ids == continuation[:16]  # of two independent implementations


@pytest.mark.parametrize("weight_format", FORMATS)
def test_two_prompts_of_equal_length_give_what_each_gives_alone(clients, weight_format):
    both = openvino_genai.TokenizedInputs(tensor(PAIR), tensor(np.ones_like(PAIR)))
    ids = clients.genai("mini", weight_format).generate(both, greedy(12)).tokens
    assert ids == [clients.greedy("mini", weight_format, prompt, 12) for prompt in PAIR]


@pytest.mark.parametrize("weight_format", FORMATS)
def test_beam_search_finds_the_beams_of_a_full_recomputation(clients, weight_format):
    config = greedy(8)
    config.num_beams = config.num_return_sequences = 3
    result = clients.genai("mini", weight_format).generate(tensor(PAIR[0]), config)
    expected = clients.beams("mini", weight_format, PAIR[0], 3, 8)
    assert result.tokens == [tokens for _, tokens in expected]
    np.testing.assert_allclose(result.scores, [score for score, _ in expected], atol=1e-3)


def test_a_prompt_leaves_nothing_behind_for_the_next(clients):
    pipeline = clients.genai("mini", "fp32")
    first = pipeline.generate(tensor(PAIR[0]), greedy(8)).tokens
    pipeline.generate(tensor(PAIR[1]), greedy(8))
    assert pipeline.generate(tensor(PAIR[0]), greedy(8)).tokens == first


class Collect(openvino_genai.StreamerBase):
    def __init__(self, stop_after):
        super().__init__()
        self.ids, self.stop_after, self.ended = [], stop_after, False

    def write(self, token):
        self.ids.extend(token if isinstance(token, list) else [token])
        stop = len(self.ids) >= self.stop_after
        return openvino_genai.StreamingStatus.STOP if stop else openvino_genai.StreamingStatus.RUNNING

    def end(self):
        self.ended = True


def test_streaming_hands_over_every_id_as_it_comes_and_stops_when_told(clients):
    pipeline = clients.genai("mini", "fp32")
    expected = clients.greedy("mini", "fp32", PAIR[0], 12)
    everything, three = Collect(stop_after=100), Collect(stop_after=3)
    assert pipeline.generate(tensor(PAIR[0]), greedy(12), everything).tokens[0] == everything.ids == expected
    assert everything.ended
    pipeline.generate(tensor(PAIR[0]), greedy(12), three)
    assert three.ids == expected[:3]
