# The pictures of the documentation are what their scripts make, show the numbers of the tables, and stand on a background of their own.
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

import pages

PICTURES = pages.ROOT / "docs" / "pictures"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_drawings_of_the_model_are_what_the_script_makes(tmp_path):
    subprocess.run([sys.executable, pages.ROOT / "tools" / "draw-model.py", tmp_path], check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(made) == {"layer.svg", "token.svg"}
    assert made == {name: (PICTURES / name).read_text() for name in made}


@pytest.mark.parametrize("name", ["layer.svg", "token.svg"])
def test_drawings_have_a_background_and_all_text_lies_on_it(name):
    root = ElementTree.parse(PICTURES / name).getroot()
    width, height = float(root.get("width")), float(root.get("height"))
    first = next(root.iter(f"{SVG}rect"))
    assert first.get("fill").startswith("#")
    assert float(first.get("width")) >= width - 2 and float(first.get("height")) >= height - 2
    texts = list(root.iter(f"{SVG}text"))
    assert len(texts) > 30
    for text in texts:
        reach = len(text.text) * float(text.get("font-size")) * 0.56  # of the widest usual letters
        left = float(text.get("x")) - (reach / 2 if text.get("text-anchor") == "middle" else 0)
        assert 0 <= left and left + reach <= width and 0 < float(text.get("y")) < height, text.text


# What benchmarks/plot.py draws. It needs matplotlib, which the environment of the tests does not have; but what it has drawn can be read.
RESULTS = sorted((pages.ROOT / "benchmarks" / "results").glob("*.json"))
PLOTS = {"peer": "tokens-per-second.svg", "formats": "formats.svg", "bandwidth": "bandwidth.svg"}


def section(text, heading):
    """From a heading to the next one."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if re.fullmatch(rf"#+ {re.escape(heading)}", line))
    return "\n".join(next((lines[begin + 1:end] for end in range(begin + 1, len(lines)) if lines[end].startswith("#")), lines[begin + 1:]))


def first_number(cell):
    return float(re.search(r"\d+(?:\.\d+)?", cell).group())


def differences(results, page):
    """What a file of results says otherwise than the table that it names."""
    (table,) = [rows for rows in pages.tables(section(page, results["section"])) if rows[0][0] == results["label"]]
    head, *rows = table
    cells = {row[0].replace("`", ""): dict(zip(head, row, strict=True)) for row in rows}
    if [row["label"] for row in results["rows"]] != list(cells):
        return ["other rows than the table"]
    return [f"{row['label']}: {name} is {row[name]}, in the table {cells[row['label']][column]}"
            for row in results["rows"] for name, column in results["columns"].items()
            if row[name] != first_number(cells[row["label"]][column])]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_are_the_numbers_of_the_tables(path):
    results = json.loads(path.read_text())
    assert differences(results, (pages.ROOT / results["page"]).read_text()) == []
    assert re.search("synthetic|trained|random|real", results["weights"]) and re.search("core", results["machine"])


def test_another_number_is_seen():
    page = "# A\n\n| row | x |\n|---|---|\n| `one` | about 1.5 (1 to 2) |\n| two | 3 |\n\n# B\n"
    results = {"section": "A", "label": "row", "columns": {"value": "x"}, "rows": [{"label": "one", "value": 1.5}, {"label": "two", "value": 3}]}
    assert differences(results, page) == []
    results["rows"][1]["value"] = 4
    assert differences(results, page) == ["two: value is 4, in the table 3"]
    del results["rows"][1]
    assert differences(results, page) == ["other rows than the table"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_plots_show_the_results(path):
    results = json.loads(path.read_text())
    root = ElementTree.parse(PICTURES / PLOTS[path.stem.split("-")[0]]).getroot()
    shown = " ".join("".join(text.itertext()) for text in root.iter(f"{SVG}text"))
    numbers = re.findall(r"\d+(?:\.\d+)?", shown)
    for row in results["rows"]:
        for name in results["columns"]:
            assert any(float(number) == row[name] for number in numbers), f"{row['label']}: {row[name]}"
    assert results["date"] in shown and results["machine"] in shown and results["weights"] in shown


@pytest.mark.parametrize("name", PLOTS.values())
def test_plots_have_a_background(name):
    root = ElementTree.parse(PICTURES / name).getroot()
    first = next(root.iter(f"{SVG}path"))  # of the figure, behind everything
    assert re.search(r"fill: #fcfcfa", first.get("style"))
