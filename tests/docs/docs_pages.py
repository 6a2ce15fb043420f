"""The pages as Markdown: those below docs/ and those that are made of the code; cells in them."""

import re
import shlex
from functools import cache
from pathlib import Path

from gptoss_magic.magics.complete import PLAIN
from gptoss_magic.magics.nouns import BY_NAME
from tools.docs_site.api_pages import api_pages
from tools.docs_site.magic_pages import magic_pages, parsers
from tools.docs_site.record_pages import record_pages

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FIRST_CELL = re.compile(r"\|[^|\n]*\|")
CODE = re.compile(r"`([^`]+)`")


@cache
def written():
    """{address: Markdown} of the pages below docs/."""
    return {str(path.relative_to(DOCS)): path.read_text("utf-8") for path in DOCS.rglob("*.md")}


@cache
def made():
    """{address: Markdown} of those that are made of the code, the tutorials aside."""
    return {**magic_pages(), **api_pages(), **record_pages()}


def blocks(uri, language):
    """The code blocks of a language on a page."""
    return [text for kind, text in BLOCK.findall(written()[uri]) if kind == language]


def cells():
    """(page, cell) of each magic in a block of the pages."""
    for uri, text in written().items():
        for _, block in BLOCK.findall(text):
            cell = []
            for line in block.splitlines():
                if line.startswith("%") and cell:
                    yield uri, "\n".join(cell)
                    cell = []
                if line.startswith(("%gptoss", "%%gptoss")) or cell:
                    cell.append(line)
            if cell:
                yield uri, "\n".join(cell)


def first_column(uri, title=""):
    """The names in code in the first column of the tables of a page, or of one section of it."""
    text = written()[uri]
    if title:
        text = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in CODE.findall(FIRST_CELL.match(row)[0])]


def parser_of(line):
    """(the parser that reads a magic's line, the rest of the line); None for one without parser."""
    name, _, rest = line.partition(" ")
    known = parsers()
    if name.startswith("%%"):
        return known[name], rest
    words = rest.split()
    for count in (2, 1):
        prog = " ".join([name, *words[:count]])
        if prog in known:
            return known[prog], rest.split(maxsplit=count)[count] if len(words) > count else ""
    if name == "%gptoss_tune":
        return known["%%gptoss_tune"], rest
    assert words[0] in {*BY_NAME, *PLAIN}, line
    return None, shlex.join(words)
