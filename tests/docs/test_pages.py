# The pages of the documentation hold together: links lead to files and headings, paths that they name are there, lines are short.
import re
from urllib.parse import unquote

import pytest

import pages


def broken_links(page):
    """Relative links of a page that lead to no file, or to no heading of it."""
    broken = []
    for number, target in pages.links(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, heading = target.partition("#")
        path = (page.parent / unquote(file)).resolve() if file else page
        if not path.exists():
            broken.append(f"{page.name}:{number}: {target}: no such file")
        elif heading and path.suffix == ".md" and heading not in map(pages.anchor, pages.headings(path.read_text())):
            broken.append(f"{page.name}:{number}: {target}: no such heading")
    return broken


@pytest.mark.parametrize("page", pages.markdown_files(), ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One thing\n[a](#one-thing) [b](#another) [c](absent.md) [d](page.md#one-thing) `[e](code.md)` [f](https://example.org/x)\n"
                    "```\n[g](code.md)\n```\n")
    assert broken_links(page) == ["page.md:2: #another: no such heading", "page.md:2: absent.md: no such file"]


def test_anchors_are_those_of_github():
    assert pages.anchor("2.10 Compressors") == "210-compressors"
    assert pages.anchor("A row's bits") == "a-rows-bits"
    assert pages.anchor("The yardstick of `dsv4 bench`") == "the-yardstick-of-dsv4-bench"


@pytest.mark.parametrize("page", pages.markdown_files(), ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_paths_that_a_page_names_are_there(page):
    """Of the folders that are in the repository. NAME and ROOM stand for any; "tests/ops/*bits_test.cpp" is several."""
    text = re.sub(r"\[[^\]]*\]\([^)]*\)", "", "\n".join(line for _, line in pages.prose(page.read_text())))  # links have a test of their own
    named = re.findall(r"(?<![\w/.-])(?:src|include|tests|tools|benchmarks|examples|cmake|docs|models)/[\w./*-]*[\w/*]", text)
    missing = [path for path in named if not re.search("NAME|ROOM", path) and not list(pages.ROOT.glob(path.rstrip("/")))]
    assert missing == []


LONGEST_LINE = 120
LONGEST_ROW = 160  # of a table, which cannot be broken


def long_lines(text):
    """Numbers of lines that are too long. A line without a blank in it, such as an address, cannot be broken either."""
    return [number for number, line in pages.prose(text)
            if len(line) > (LONGEST_ROW if line.startswith("|") else LONGEST_LINE) and " " in line.strip().removeprefix("- ")]


@pytest.mark.parametrize("page", pages.markdown_files(), ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_lines_are_short(page):
    assert long_lines(page.read_text()) == []


def test_long_lines_are_seen():
    long = "word " * 40
    assert long_lines(f"short\n{long}\n```\n{long}\n```\n| {long[:150]} |\n| {long} |\nhttps://{'a' * 200}\n") == [2, 7]
