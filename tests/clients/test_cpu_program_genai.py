# openvino_genai.LLMPipeline on folders of the CPU program: the portable folder's texts, ids, beams and chats.
import cpu_folders
import numpy as np
import openvino
import openvino_genai
import pytest
from client_models import FORMATS, PROPERTIES, TEXTS

every_format = pytest.mark.parametrize("weight_format", [pytest.param(f, marks=[] if f == "int4" else pytest.mark.full) for f in FORMATS])


def greedy(count, chat=False):
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.do_sample, config.ignore_eos, config.apply_chat_template = count, False, True, chat
    return config


@pytest.fixture(scope="module")
def pipelines(clients, library):
    made = {}

    def both(weight_format):
        if weight_format not in made:
            fast = openvino_genai.LLMPipeline(cpu_folders.folder_of(library, "mini", weight_format), "CPU", extensions=[cpu_folders.ops_library()],
                                              **PROPERTIES)
            made[weight_format] = clients.genai("mini", weight_format), fast
        return made[weight_format]

    return both


@every_format
def test_texts_batches_and_beams_are_the_portable_ones(pipelines, weight_format):
    portable, fast = pipelines(weight_format)
    for text in (TEXTS[0], TEXTS[2] * 8):
        assert fast.generate(text, greedy(16)) == portable.generate(text, greedy(16))
    assert fast.generate(list(TEXTS), greedy(12)).texts == portable.generate(list(TEXTS), greedy(12)).texts
    config = greedy(8)
    config.num_beams = config.num_return_sequences = 4
    assert fast.generate([TEXTS[0]], config).texts == portable.generate([TEXTS[0]], config).texts


def chat(pipeline):
    history, answers = openvino_genai.ChatHistory(), []
    for turn in range(4):
        if turn == 2:  # what was said is changed
            history = openvino_genai.ChatHistory()
            history.append({"role": "user", "content": "And God said"})
            history.append({"role": "assistant", "content": "Let there be light"})
        history.append({"role": "user", "content": TEXTS[turn % len(TEXTS)]})
        answers.append(pipeline.generate(history, greedy(10, chat=True)).texts[0])
        history.append({"role": "assistant", "content": answers[-1]})
    return answers


@every_format
def test_a_chat_of_four_turns_with_an_edit(pipelines, weight_format):
    portable, fast = pipelines(weight_format)
    assert chat(fast) == chat(portable)


@every_format
def test_a_chat_that_genai_keeps(pipelines, weight_format):
    answers = []
    for pipeline in pipelines(weight_format):
        pipeline.start_chat()
        answers.append([pipeline.generate(text, greedy(10, chat=True)) for text in TEXTS])
        pipeline.finish_chat()
    assert answers[0] == answers[1]


def test_only_the_last_column_has_logits_where_genai_asks_for_no_more(library):
    """A prompt of some thousand tokens would take gigabytes of logits else."""
    model = cpu_folders.core().read_model(cpu_folders.folder_of(library, "mini", "int4") / "openvino_model.xml")
    last = model.output("logits").get_node().input_value(0).get_node()
    product = last.input_value(0).get_node()
    assert (last.get_type_name(), product.get_type_name(), len(product.input_value(0).get_partial_shape())) == ("Add", "MatMul", 3)
    # What GenAI does to it.
    ops = openvino.opset13
    cut = ops.slice(product.input_value(0), np.array([-1]), np.array([-2]), np.array([-1]), np.array([1]))
    product.input(0).replace_source_output(cut.output(0))
    model.validate_nodes_and_infer_types()
    ids = np.arange(1, 41)[None]
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": ids - 1, "beam_idx": np.zeros(1, np.int32)}
    compiled = [cpu_folders.core().compile_model(m, "CPU", PROPERTIES) for m in (model, cpu_folders.core().read_model(
        cpu_folders.folder_of(library, "mini", "int4") / "openvino_model.xml"))]
    cut_logits, all_logits = (c.create_infer_request().infer(inputs)["logits"] for c in compiled)
    np.testing.assert_array_equal(cut_logits[0], all_logits[0, -1:])
