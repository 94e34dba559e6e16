# The source files keep the two rules of CONTRIBUTING.md that can be counted: at most 600 lines, and a first line that says what the file is for.
import pages

MOST_LINES = 600
FOLDERS = ["src", "include", "tests", "benchmarks", "tools", "examples", "python"]
COMMENTS = {".h": "//", ".cpp": "//", ".py": "#", ".sh": "#"}


def source_files():
    files = [path for folder in FOLDERS for path in sorted((pages.ROOT / folder).rglob("*")) if path.suffix in COMMENTS and path.is_file()]
    assert len(files) > 400
    return [path for path in files if "data" not in path.relative_to(pages.ROOT).parts]


def test_no_file_is_longer_than_600_lines():
    counted = {path: len(path.read_text().splitlines()) for path in [*source_files(), *pages.markdown_files()]}
    assert {str(path.relative_to(pages.ROOT)): lines for path, lines in counted.items() if lines > MOST_LINES} == {}


def test_every_file_begins_with_what_it_is_for():
    silent = []
    for path in source_files():
        first, *rest = path.read_text().splitlines()
        line = rest[0] if first.startswith("#!") else first
        if not line.startswith(COMMENTS[path.suffix]) or len(line) < 10:
            silent.append(str(path.relative_to(pages.ROOT)))
    assert silent == []
