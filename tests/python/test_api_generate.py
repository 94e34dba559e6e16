# Generating through the Python API: the tokens of the program, text and stops, many prompts at once.
import json

import pytest

import dsv4
import program

PROMPT = "In the beginning God"


def of_program(mini, *flags):
    """What `dsv4 run --json` gives for the prompt."""
    return json.loads(program.succeed("run", mini, "-p", PROMPT, "--json", "--threads", program.THREADS, *flags).out)


@pytest.mark.parametrize("options, flags", [
    ({}, []),
    ({"temperature": 0.8, "seed": 7, "top_k": 40, "top_p": 0.95, "min_p": 0.01}, ["--temperature", "0.8", "--seed", "7", "--top-k", "40", "--top-p", "0.95", "--min-p", "0.01"]),
    ({"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.2, "logit_bias": {14: -100, 270: 2.5}},
     ["--repetition-penalty", "1.3", "--presence-penalty", "0.5", "--frequency-penalty", "0.2", "--logit-bias", "14:-100", "--logit-bias", "270:2.5"]),
    ({"stop": ["LORD"]}, ["--stop", "LORD"]),
    ({"stop_tokens": [270]}, ["--stop-token", "270"]),
])
def test_generates_what_the_program_does(mini, engine, options, flags):
    expected = of_program(mini, "-n", "24", *flags)
    generation = engine.generate(PROMPT, max_new_tokens=24, **options).run()
    assert generation.tokens == expected["tokens"]
    assert generation.text == expected["text"]
    assert generation.finish_reason == expected["finish_reason"]


def test_log_probabilities_are_the_programs(mini, engine):
    expected = of_program(mini, "-n", "5", "--logprobs", "3")["logprobs"]
    tokens = list(engine.generate(PROMPT, max_new_tokens=5, logprobs=3))
    assert [(t.token, [top for top, _ in t.top]) for t in tokens] == [(e["token"], [top["token"] for top in e["top"]]) for e in expected]
    for token, entry in zip(tokens, expected):
        assert token.logprob == pytest.approx(entry["logprob"], abs=1e-12)
        assert [value for _, value in token.top] == pytest.approx([top["logprob"] for top in entry["top"]], abs=1e-12)
    assert next(engine.generate(PROMPT)).logprob is None


def test_tokens_come_one_by_one_and_their_texts_make_up_the_whole(engine):
    generation = engine.generate(PROMPT, max_new_tokens=8)
    first = next(generation)
    assert generation.tokens == [first.token] and generation.finish_reason is None
    rest = list(generation)
    assert first.text + "".join(token.text for token in rest) == generation.text == engine.decode(generation.tokens)
    assert rest[-1].finish_reason == "length" and all(token.finish_reason is None for token in rest[:-1])
    assert list(generation) == []


def test_a_text_that_was_left_goes_on_from_its_session(engine):
    whole = engine.generate(PROMPT, max_new_tokens=10).run().tokens
    session = engine.session()
    for token in session.generate(PROMPT, max_new_tokens=10):
        if token.token == whole[3]:
            break
    assert session.generate([whole[3]], max_new_tokens=6).run().tokens == whole[4:]


def test_a_session_that_was_moved_ends_its_generation(engine):
    session = engine.session()
    generation = session.generate(PROMPT, max_new_tokens=4)
    next(generation)
    session.feed([5])
    with pytest.raises(dsv4.Error, match="generate anew"):
        next(generation)


def test_no_new_tokens_feed_the_prompt_alone(engine):
    session = engine.session()
    assert list(session.generate([0, 43, 80], max_new_tokens=0)) == []
    assert session.position == 3


def test_a_batch_gives_what_each_prompt_gives_alone(engine):
    prompts = [PROMPT, "And", "And it came to pass in the days of the king that the people of the land went out " * 4]
    options = {"max_new_tokens": 12, "temperature": 0.7, "seed": 3, "logprobs": 1}
    for prompt, generated in zip(prompts, engine.generate_batch(prompts, parallel=2, **options)):
        alone = list(engine.generate(prompt, **options))
        assert generated.error is None and generated.finish_reason == alone[-1].finish_reason
        assert generated.tokens == [token.token for token in alone]
        assert generated.text == "".join(token.text for token in alone)
        assert [top for _, top in generated.logprobs] == [token.top for token in alone]
    assert engine.generate_batch([]) == []


def test_encode_and_decode_are_the_programs(mini, engine):
    text = "Ω and\tthe naïve 子 \U0001f600"
    expected = json.loads("[" + program.succeed("tokenize", mini, "-p", text).out.strip() + "]")
    assert list(engine.encode(text)) == expected
    assert engine.decode(engine.encode(text)) == text
    assert list(engine.encode("", add_bos=False)) == [] and engine.decode([]) == ""
