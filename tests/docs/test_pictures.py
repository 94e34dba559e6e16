# The pictures of the documentation are what their scripts make, and stand on a background of their own.
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
