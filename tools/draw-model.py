#!/usr/bin/env python3
# Draws the pictures of docs/model.md as SVG: one layer of the model, and one token's way through runtime and operations.
"""usage: tools/draw-model.py [FOLDER]

Writes layer.svg and token.svg to FOLDER (docs/pictures). A test holds that the files there are what this script makes.
"""

import sys
from pathlib import Path
from xml.sax.saxutils import escape

TEXT_SIZE = 13
SMALL = 11.5
COLOURS = {  # fill, border
    "page": ("#fcfcfa", "#c9c9c4"),
    "streams": ("#dfe9f7", "#3b6ea8"),
    "mix": ("#e6effa", "#3b6ea8"),
    "part": ("#f4f4f0", "#8a8a84"),
    "step": ("#ffffff", "#6f6f6a"),
    "memory": ("#fdf1d8", "#b9821b"),
    "choice": ("#f8e3ea", "#a8456b"),
    "runtime": ("#e3f1e6", "#3c8450"),
}
INK = "#22221f"
LINE = "#55554f"


class Picture:
    """Boxes with lines of text, arrows between them, on a background of its own."""

    def __init__(self, width, height, title):
        self.width, self.height = width, height
        self.parts = [f"<title>{escape(title)}</title>"]
        self._rectangle(0.5, 0.5, width - 1, height - 1, "page", 10)

    def _rectangle(self, x, y, width, height, colour, radius=6):
        fill, border = COLOURS[colour]
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" stroke="{border}"/>')

    def text(self, x, y, line, size=TEXT_SIZE, anchor="middle", bold=False):
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}"{weight}>{escape(line)}</text>')

    def box(self, x, y, width, height, colour, *lines, head=True):
        """The first line is bold unless `head` is false. Text that would leave the box is an error."""
        self._rectangle(x, y, width, height, colour)
        step = 17
        first = y + height / 2 - step * (len(lines) - 1) / 2 + 4.5
        for i, line in enumerate(lines):
            bold = head and i == 0
            size = TEXT_SIZE if bold else SMALL
            if len(line) * size * 0.56 > width - 6 or len(lines) * step > height:
                raise ValueError(f"{line!r} does not fit a box of {width} x {height}")
            self.text(x + width / 2, round(first + i * step, 1), line, size, bold=bold)

    def frame(self, x, y, width, height, colour, title):
        self._rectangle(x, y, width, height, colour, 8)
        self.text(x + 12, y + 19, title, anchor="start", bold=True)

    def line(self, *points, colour=LINE, width=1.5, dashed=False, arrow=False):
        path = " ".join(f"{x},{y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        end = ' marker-end="url(#arrow)"' if arrow else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}{end}/>')

    def arrow(self, *points, dashed=False):
        self.line(*points, dashed=dashed, arrow=True)

    def svg(self):
        marker = (f'<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
                  f'<path d="M0,0 L8,4 L0,8 z" fill="{LINE}"/></marker></defs>')
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}" '
                f'font-family="Helvetica, Arial, sans-serif" fill="{INK}">')
        return "\n".join(["<!-- Made by tools/draw-model.py. -->", head, marker, *self.parts, "</svg>"]) + "\n"


def layer():
    p = Picture(900, 1010, "One layer of DeepSeek-V4")
    streams = [62, 82, 102, 122]
    blue = COLOURS["streams"][1]
    p.text(92, 28, "hc = 4 residual streams", SMALL)
    p.text(92, 43, "[T,hc,D]", SMALL)
    for x in streams:
        p.line((x, 52), (x, 975), colour=blue, width=3)
    p.text(92, 994, "to the next layer", SMALL)

    def site(top, bottom, norm):
        """pre above the sublayer, post below it, comb on the streams between them."""
        p.arrow((122, top + 25), (190, top + 25))
        p.box(190, top, 330, 50, "mix", "pre", f"[T,hc,D] → [T,1,D]: Σ pre_j X_j, then {norm}")
        p.text(536, top + 21, "pre, post, comb: made from the streams, for each token", SMALL, "start")
        p.text(536, top + 37, "(sigmoids; Sinkhorn makes comb doubly stochastic)", SMALL, "start")
        p.box(42, (top + bottom) / 2, 100, 46, "streams", "comb", "Σ_j C_jk X_j")
        p.box(190, bottom, 330, 50, "mix", "post", "[T,1,D] → [T,hc,D]: post_k o, added to stream k")
        p.arrow((190, bottom + 25), (126, bottom + 25))

    site(66, 534, "RMSNorm")
    p.arrow((355, 116), (355, 142))
    p.frame(190, 142, 690, 366, "part", "Attention: one key-value head, keys are values")
    p.box(206, 176, 190, 52, "step", "query latent", "qr = norm(wq_a x)   [T,R]")
    p.box(416, 176, 200, 52, "step", "kv row", "RoPE(norm(wkv x))   [T,hd]")
    p.box(636, 176, 228, 52, "step", "compressor (HCA, CSA)", "m positions → one entry [hd]")
    p.arrow((301, 228), (301, 262))
    p.arrow((516, 228), (516, 262))
    p.arrow((750, 228), (750, 262))
    p.box(206, 262, 190, 52, "step", "queries", "RoPE(norm(wq_b qr)) [T,H,hd]")
    p.box(416, 262, 200, 52, "memory", "window", "the last W = 128 rows")
    p.box(636, 262, 228, 52, "memory", "entries", "one for each m positions")
    p.arrow((750, 314), (750, 342))
    p.box(636, 342, 228, 52, "choice", "indexer (CSA only)", "by keys of its own: the best 512")
    p.line((301, 238), (406, 238), (406, 368), dashed=True)
    p.arrow((406, 368), (636, 368), dashed=True)
    p.arrow((301, 314), (301, 412))
    p.arrow((516, 314), (516, 412))
    p.arrow((750, 394), (750, 412))
    p.box(206, 412, 658, 34, "step", "one softmax over window rows and entries, a sink for each head in the denominator", head=False)
    p.arrow((535, 446), (535, 462))
    p.box(206, 462, 658, 34, "step", "inverse RoPE, then wo_a in G groups of heads, then wo_b   [T,H,hd] → [T,1,D]", head=False)
    p.arrow((355, 496), (355, 534))
    p.text(536, 553, "sliding layer (m = 0): window only", SMALL, "start")
    p.text(536, 569, "HCA (m = 128): window and every entry", SMALL, "start")
    p.text(536, 585, "CSA (m = 4): window and what the indexer selects", SMALL, "start")

    site(614, 904, "RMSNorm")
    p.arrow((355, 664), (355, 690))
    p.frame(190, 690, 690, 188, "part", "Experts")
    p.box(206, 724, 300, 52, "choice", "which ones", "K = 6 of E: router, or the token's id")
    p.box(526, 724, 338, 52, "step", "weights", "s / Σ s · scaling, s = sqrt(softplus(gate x))")
    p.arrow((356, 776), (356, 798))
    p.line((695, 776), (695, 787), (356, 787))
    p.box(206, 798, 300, 64, "step", "K routed experts", "w2 (w · SiLU(min(w1 x)) · clamp(w3 x))", "their sum")
    p.box(526, 798, 338, 64, "step", "the shared expert", "the same with weight 1, for every token", "added")
    p.arrow((356, 862), (356, 904))
    p.line((695, 862), (695, 890), (356, 890))
    return p


def token():
    p = Picture(900, 730, "One token's way through dsv4")
    p.text(24, 30, "A token's way in the CPU program", 15, "start", bold=True)

    p.frame(24, 48, 250, 652, "runtime", "runtime (src/runtime)")
    p.box(40, 82, 218, 66, "step", "Session::feed", "checks ids and room, cuts a", "prompt into pieces of 512")
    p.arrow((149, 148), (149, 172))
    p.box(40, 172, 218, 66, "step", "CpuState::infer", "sets input_ids, position,", "cache, logit_rows")
    p.arrow((149, 238), (149, 262))
    p.box(40, 262, 218, 66, "step", "CheckedInference::infer", "marks the output, runs, looks", "that no mark is left")
    p.box(40, 470, 218, 66, "step", "Session::feed", "returns logits [1,V] of the", "piece's last token")
    p.arrow((149, 536), (149, 560))
    p.box(40, 560, 218, 52, "step", "Sampler::sample", "greedy, or from the seed")
    p.arrow((149, 612), (149, 632))
    p.box(40, 632, 218, 52, "step", "generate", "the end? else feed the token")
    p.arrow((40, 658), (32, 658), (32, 115), (40, 115))

    p.frame(330, 48, 320, 652, "part", "operations (src/ops), run by OpenVINO")
    p.arrow((258, 295), (300, 295), (300, 107), (346, 107))
    p.box(346, 82, 288, 50, "step", "Embed", "ids i32 [T] → streams [T,hc,D]")
    p.arrow((490, 132), (490, 160))
    p.frame(340, 160, 300, 344, "mix", "L times")
    p.box(350, 190, 280, 62, "step", "HyperConnect", "post of what came before, pre, norm", "[T,hc,D] → [T,D]")
    p.arrow((490, 252), (490, 268))
    p.box(350, 268, 280, 68, "step", "Attention", "projections, RoPE, compressors, indexer,", "softmax, output; appends to the cache")
    p.arrow((490, 336), (490, 352))
    p.box(350, 352, 280, 62, "step", "HyperConnect", "post, pre, norm", "[T,hc,D] → [T,D]")
    p.arrow((490, 414), (490, 430))
    p.box(350, 430, 280, 62, "step", "Experts", "router or table, products batched by", "expert, the shared expert")
    p.arrow((490, 504), (490, 524))
    p.box(346, 524, 288, 62, "step", "HyperConnectHead", "the last post, streams to one, norm;", "rows that are asked for: [n,D]")
    p.arrow((490, 586), (490, 606))
    p.box(346, 606, 288, 50, "step", "Linear", "the head: [n,D] → logits f32 [n,V]")
    p.line((346, 631), (300, 631), (300, 503))
    p.arrow((300, 503), (258, 503))

    p.box(706, 82, 170, 170, "memory", "openvino_model.bin", "mapped where it lies:", "codes, scales and zero", "points as the converter", "wrote them; a stack of", "all experts a layer")
    p.arrow((706, 167), (650, 167), dashed=True)
    p.text(791, 270, "every operation reads", SMALL)
    p.box(706, 310, 170, 170, "memory", "cache of the session", "one block of memory:", "window rows, entries,", "index keys, raw rows of", "unfinished blocks; grows", "as rows are written")
    p.line((706, 340), (668, 340), (668, 302))
    p.arrow((668, 302), (630, 302))
    p.arrow((630, 320), (654, 320), (654, 395), (706, 395))
    p.text(791, 498, "Attention reads, writes", SMALL)
    p.box(706, 560, 170, 96, "part", "portable program", "the same blocks as", "standard operations;", "states inside OpenVINO")
    return p


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (("layer", layer()), ("token", token())):
        (folder / f"{name}.svg").write_text(picture.svg())


if __name__ == "__main__":
    main()
