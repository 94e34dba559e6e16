#!/usr/bin/env python3
# Draws the pictures of docs/benchmarks.md as SVG from benchmarks/results/*.json, which hold the numbers of its tables.
"""usage: tools/test-venv.sh plot && build/venv-plot/bin/python benchmarks/plot.py [FOLDER]

Writes tokens-per-second.svg, formats.svg and bandwidth.svg to FOLDER (docs/pictures). A file of results names page and section of its table, machine,
weights and date, and which columns its numbers are; one of another machine, peer-NAME.json or bandwidth-NAME.json, becomes another panel.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  (after the backend is chosen)

HERE = Path(__file__).resolve().parent
OURS, THEIRS, MUTED, INK = "#2f6fab", "#b9821b", "#8a8a84", "#22221f"
plt.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "dsv4",  # text stays text; the same names at every run
    "font.family": "sans-serif", "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"], "font.size": 10,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": MUTED,
    "figure.facecolor": "#fcfcfa", "axes.facecolor": "#fcfcfa", "savefig.facecolor": "#fcfcfa",  # a background of their own
    "axes.spines.top": False, "axes.spines.right": False,
})


def results(pattern):
    found = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob(pattern))]
    if not found:
        sys.exit(f"plot: no {pattern} in {HERE / 'results'}")
    return found


def number(value):
    """As the tables and the JSON write it."""
    return json.dumps(value)


def say_where(axes, table):
    axes.set_title(f"{table['machine']}, {table['date']}\nweights {table['weights']}", fontsize=8.5, loc="left", color="#55554f")


def tokens_per_second():
    """A line of panels a machine: decoding, and prompts, whose numbers are ten times as large."""
    tables = results("peer-*.json")
    figure, panels = plt.subplots(len(tables), 2, figsize=(10, 3.4 * len(tables)), squeeze=False, width_ratios=[3, 2])
    for line, table in zip(panels, tables):
        for axes, kind in zip(line, ("decode", "prefill")):
            rows = [row for row in table["rows"] if row["label"].startswith(kind)][::-1]
            most = max(row["dsv4"] for row in rows)
            for place, row in enumerate(rows):
                for engine, colour, offset in (("dsv4", OURS, 0.19), ("llama.cpp", THEIRS, -0.19)):
                    axes.barh(place + offset, row[engine], 0.36, color=colour, label=engine if place == 0 else None)
                    axes.text(row[engine] + most * 0.015, place + offset, number(row[engine]), va="center", fontsize=9)
            axes.set_yticks(range(len(rows)), [row["label"].replace("; ", ";\n", 1) for row in rows])
            axes.set_xlim(0, most * 1.15)
            axes.set_xlabel("tokens a second")
        line[0].legend(frameon=False, loc="lower right", fontsize=9)
        say_where(line[0], table)
    return figure


def formats():
    (table,) = results("formats-*.json")
    rows = sorted(table["rows"], key=lambda row: row["megabytes"])
    figure, (axes, key) = plt.subplots(1, 2, figsize=(9, 4.6), width_ratios=[3, 2])
    for place, row in enumerate(rows):
        axes.plot(row["megabytes"], row["perplexity"], "o", color=OURS, markersize=5)
        axes.annotate(str(place + 1), (row["megabytes"], row["perplexity"]), xytext=(0, 6 if place % 2 else -13), textcoords="offset points",
                      ha="center", fontsize=8.5)
        line = 0.97 - place * 0.075
        key.text(0.0, line, str(place + 1), fontsize=8.5, ha="right")
        key.text(0.04, line, row["label"], fontsize=8.5)
        key.text(0.93, line, f"{number(row['megabytes'])} MB", fontsize=8.5, ha="right")
        key.text(1.12, line, f"{row['perplexity']:.3f}", fontsize=8.5, ha="right")
    key.set_axis_off()
    axes.margins(y=0.09)
    axes.set_xscale("log")
    axes.set_xticks([2, 3, 4, 6, 8, 12], ["2", "3", "4", "6", "8", "12"])
    axes.minorticks_off()
    axes.set_xlabel("openvino_model.bin, MB")
    axes.set_ylabel("perplexity")
    say_where(axes, table)
    return figure


def bandwidth():
    tables = results("bandwidth-*.json")
    figure, panels = plt.subplots(len(tables), 1, figsize=(9, 2.9 * len(tables)), squeeze=False)
    for axes, table in zip(panels[:, 0], tables):
        rows = table["rows"][::-1]
        for place, row in enumerate(rows):
            axes.barh(place, row["share"], 0.6, color=OURS if "whole" not in row["label"] else MUTED)
            about = "about " if row.get("about") else ""
            axes.text(row["share"] + 0.008, place, f"{about}{row['share']:.2f}: {number(row['gigabytes_per_second'])} GB/s, {number(row['milliseconds'])} ms",
                      va="center", fontsize=9)
        axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
        axes.set_xlim(0, 1.25)
        axes.set_xlabel("share of the read bandwidth")
        say_where(axes, table)
    return figure


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (("tokens-per-second", tokens_per_second), ("formats", formats), ("bandwidth", bandwidth)):
        figure = draw()
        figure.tight_layout()
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
