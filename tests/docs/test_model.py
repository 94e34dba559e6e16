# docs/model.md is what the sources say it is: every citation of it leads to a heading, and each formula's function is where the table says.
import re

import pytest

import pages

MODEL = pages.ROOT / "docs" / "model.md"
FOLDERS = ["src/graph", "src/ops", "src/reference"]  # of the columns of the table "formula -> where", after the formula
SOURCES = ["src", "include", "tests", "benchmarks", "python", "tools", "examples"]
CITATION = re.compile(r"\bspec (\d+(?:\.\d+)?(?:(?:, | to | and )\d+(?:\.\d+)?)*)")


def numbered_headings(text):
    return {match.group(1) for heading in pages.headings(text) if (match := re.match(r"(\d+(?:\.\d+)?) ", heading))}


def formula_rows(text):
    found = [rows for rows in pages.tables(text) if rows[0][0] == "formula"]
    assert len(found) == 1, "docs/model.md has one table whose first column is `formula`"
    head, *rows = found[0]
    assert [re.search(r"src/\w+", cell).group() for cell in head[1:]] == FOLDERS
    return rows


def wrong_cells(rows, root):
    """What the table says that is not so."""
    wrong = []
    for formula, *cells in rows:
        for folder, cell in zip(FOLDERS, cells, strict=True):
            for place in re.findall(r"`([^`]+)`", cell):
                file, _, name = place.partition(":")
                path = root / file if file.startswith("src/") else root / folder / file
                if not path.is_file():
                    wrong.append(f"{formula}: there is no {path.relative_to(root)}")
                elif not name or not pages.defines(path, name):
                    wrong.append(f"{formula}: {path.relative_to(root)} defines no {name!r}")
    return wrong


def citations():
    """(place, number) of every `spec N.M` of the sources."""
    for folder in SOURCES:
        for path in sorted((pages.ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".py", ".sh") and path.is_file():
                for match in CITATION.finditer(path.read_text()):
                    for number in re.findall(r"\d+(?:\.\d+)?", match.group(1)):
                        yield f"{path.relative_to(pages.ROOT)}: spec {number}", number


def test_every_formula_is_where_the_table_says():
    rows = formula_rows(MODEL.read_text())
    assert len(rows) > 30
    assert wrong_cells(rows, pages.ROOT) == []


def test_the_table_names_sections_that_are_there():
    numbers = numbered_headings(MODEL.read_text())
    assert [row[0] for row in formula_rows(MODEL.read_text()) if row[0].split()[0] not in numbers] == []


def test_every_part_of_the_forward_pass_has_a_row():
    parts = {number for number in numbered_headings(MODEL.read_text()) if number.startswith("2.")} - {"2.13"}  # the draft block is not implemented
    assert parts <= {row[0].split()[0] for row in formula_rows(MODEL.read_text())}


def test_every_citation_leads_to_a_heading():
    found = list(citations())
    assert len(found) > 40
    numbers = numbered_headings(MODEL.read_text())
    assert [place for place, number in found if number not in numbers] == []


def test_sources_cite_only_documents_of_the_repository():
    there = {path.name for path in [*pages.markdown_files(), *pages.ROOT.glob("models/*/*.md")]}
    found = [f"{path.relative_to(pages.ROOT)}: {name}" for folder in ("src", "include", "benchmarks", "tools", "examples")
             for path in sorted((pages.ROOT / folder).rglob("*")) if path.suffix in (".h", ".cpp", ".py", ".sh")
             for name in re.findall(r"\b[\w-]+\.md\b", path.read_text()) if name not in there]
    assert found == []


def test_pages_that_sources_cite_are_there():
    """Also the heading behind a comma, as in `docs/graph.md, State`."""
    wrong = []
    for folder in SOURCES:
        for path in sorted((pages.ROOT / folder).rglob("*")):
            if path.suffix not in (".h", ".cpp", ".py", ".sh") or not path.is_file() or path.parent == pages.ROOT / "tests" / "docs":
                continue
            for page, heading in re.findall(r"\b(docs/[\w/-]+\.md)(?:, ([A-Z]\w+))?", path.read_text()):
                there = (pages.ROOT / page).is_file()
                if not there or (heading and not any(h.startswith(heading) for h in pages.headings((pages.ROOT / page).read_text()))):
                    wrong.append(f"{path.relative_to(pages.ROOT)}: {page} {heading}")
    assert wrong == []


def test_a_citation_of_several_sections_counts_as_each():
    text = "// of one layer (spec 2.5 to 2.8), and spec 2.10, 3.3 and spec 1.1 and 1.2; a spec 2"
    assert [re.findall(r"\d+(?:\.\d+)?", match.group(1)) for match in CITATION.finditer(text)] == [
        ["2.5", "2.8"], ["2.10", "3.3"], ["1.1", "1.2"], ["2"]]


@pytest.fixture
def made_up(tmp_path):
    (tmp_path / "src" / "graph").mkdir(parents=True)
    (tmp_path / "src" / "graph" / "a.cpp").write_text(
        "Value declared(int x);\n"
        "Value A::member(const Value& x,\n                int y) {\n  if (called(x)) {\n    return returned(x);\n  }\n}\n"
        "static int plain(int x) { return other(x) ? third(x) : fourth(x); }\n"
        "class Op final : public Base {\n  Op(int x) : x_(x) {}\n  bool constant() const { return true; }\n};\n")
    return tmp_path


@pytest.mark.parametrize("name", ["member", "plain", "Op", "constant"])
def test_a_definition_is_seen(made_up, name):
    assert wrong_cells([["2.1", f"`a.cpp:{name}`", "none", "none"]], made_up) == []


@pytest.mark.parametrize("name", ["declared", "called", "returned", "other", "third", "fourth", "Base", "absent", ""])
def test_a_name_that_is_not_defined_is_wrong(made_up, name):
    assert wrong_cells([["2.1", f"`a.cpp:{name}`", "none", "none"]], made_up) == [f"2.1: src/graph/a.cpp defines no {name!r}"]


def test_a_file_that_is_not_there_is_wrong(made_up):
    assert wrong_cells([["2.1", "`b.cpp:plain`", "none", "none"]], made_up) == ["2.1: there is no src/graph/b.cpp"]
