# A model folder in OpenVINO's own Python runtime, used the way optimum-intel and GenAI use it: no code of dsv4 takes part.
import numpy as np
import openvino

# float32 whatever the CPU prefers, for activations beside compressed weights too; two threads, because OpenVINO drops exceptions of a request that
# runs on one.
PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2, "PERFORMANCE_HINT": "LATENCY", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}


def compile_model(folder):
    core = openvino.Core()
    return core.compile_model(core.read_model(folder / "openvino_model.xml"), "CPU", PROPERTIES)


class Sequence:
    """One request: rows of tokens in, logits [B,S,V] out, its state kept between calls."""

    def __init__(self, compiled):
        self.request = compiled.create_infer_request()
        self.mask = None

    def feed(self, tokens, beams=None, mask=None):
        """tokens [S] or [B,S]. `mask` [B,S]: 0 for left padding. `beams`: the row of the last call that each row goes on from."""
        tokens = np.atleast_2d(np.asarray(tokens, np.int64))
        batch, length = tokens.shape
        beams = np.arange(batch, dtype=np.int32) if beams is None else np.asarray(beams, np.int32)
        new = np.ones_like(tokens) if mask is None else np.asarray(mask, np.int64)
        past = np.zeros((batch, 0), np.int64) if self.mask is None else self.mask[beams]
        self.mask = np.concatenate([past, new], axis=1)
        positions = self.mask.cumsum(axis=1) - 1
        positions[self.mask == 0] = 1  # as transformers and optimum-intel number padding
        inputs = {"input_ids": tokens, "attention_mask": self.mask, "position_ids": positions[:, -length:], "beam_idx": beams}
        return next(iter(self.request.infer(inputs).values())).copy()

    def feed_parts(self, tokens, lengths):
        """One row in calls of these lengths -> [S,V]."""
        assert sum(lengths) == len(tokens)
        ends = np.cumsum(lengths)
        return np.concatenate([self.feed(tokens[end - length:end])[0] for length, end in zip(lengths, ends)])

    def reset(self):
        self.request.reset_state()
        self.mask = None

    def save(self):
        return self.mask.copy(), {state.name: state.state.data.copy() for state in self.request.query_state()}

    def restore(self, saved):
        mask, states = saved
        self.mask = mask.copy()
        for state in self.request.query_state():
            state.state = openvino.Tensor(states[state.name])


def prefill(compiled, tokens):
    """The prefill-only form: all tokens at once -> [B,S,V]."""
    request = compiled.create_infer_request()
    return next(iter(request.infer({"input_ids": np.atleast_2d(np.asarray(tokens, np.int64))}).values())).copy()


def max_difference(a, b):
    assert a.shape == b.shape, (a.shape, b.shape)
    assert np.isfinite(a).all() and np.isfinite(b).all()
    return float(np.abs(a - b).max())
