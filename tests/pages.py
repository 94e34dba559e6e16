# The pages of the documentation as the tests of tests/docs read them: headings, links, tables, and where C++ and Python files define a name.
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def markdown_files():
    return sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def prose(text):
    """(line number, line) of everything outside of fenced code."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def headings(text):
    return [match.group(1).strip() for _, line in prose(text) if (match := re.match(r"#{1,6} (.*)", line))]


def anchor(heading):
    """As GitHub makes it: lower case, punctuation gone, blanks as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(text):
    """(line number, target) of links and pictures, outside of code."""
    for number, line in prose(text):
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "``", line)):
            yield number, target
        for target in re.findall(r"<img[^>]* src=\"([^\"]+)\"", line):
            yield number, target


def tables(text):
    """Each table as a list of rows, each row as a list of cells; the rule below the head is left out."""
    rows = []
    for _, line in [*prose(text), (0, "")]:
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                rows.append(cells)
        elif rows:
            yield rows
            rows = []


def _after_parentheses(text, opening):
    """Index behind the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index + 1
    return len(text)


def defines(path, name):
    """Whether the file defines a function, class or structure of that name. A declaration or a call is no definition."""
    text = path.read_text()
    if path.suffix == ".py":
        return re.search(rf"^\s*(def|class) {re.escape(name)}\b", text, re.MULTILINE) is not None
    if re.search(rf"^\s*(class|struct) {re.escape(name)}\b[^;{{]*{{", text, re.MULTILINE):
        return True
    # Something that can be a type stands in front of it, and a body or a constructor's initialisers behind its parameters.
    for match in re.finditer(rf"^(?!\s*return\b)[ ]*[\w:<>,&*~ ]*?(?<=[\s&*:>]){re.escape(name)}(\()", text, re.MULTILINE):
        behind = text[_after_parentheses(text, match.start(1)):]
        if re.match(r"(\s*(const|noexcept|override|final|HWY_ATTR))*\s*({|:\s*\w+[({])", behind):
            return True
    return False
