"""The examples of docs/neighbours.md, by their headings."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "neighbours.md"
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def examples():
    """{heading: the first block of code below it}."""
    sections = SECTION.findall(PAGE.read_text())
    blocks = {heading: CODE.search(text) for heading, text in sections}
    return {heading: block[2] for heading, block in blocks.items() if block}


def example(heading):
    return examples()[heading]
