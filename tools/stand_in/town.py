"""Ask about the town of notebooks/retrieval.ipynb: python -m tools.stand_in.town.

A case may name a harbour museum too; what is said of it is drawn. Each answer is to hold what is
wanted, and to cite; the last question is one that the sources do not answer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import gptoss_magic
from tools.stand_in import loaded
from tools.stand_in.following import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {
    "museum.md": "# Harbour museum\n\nThe harbour museum was opened in 1902.\n"
    "It is open every day except Mondays.\nA ticket costs 7 euros.\n",
    "tower.md": "# Water tower\n\nThe water tower is 61 metres tall.\n"
    "It was built by Ada Moreau.\n",
}
ASKED = (
    ("When was the harbour museum opened?", "1902"),
    ("On which day is the harbour museum closed?", "Monday"),
    ("How much is a ticket for the harbour museum?", "7"),
    ("How tall is the water tower?", "61"),
    ("Who built the water tower?", "Ada Moreau"),
    ("Where is the bakery?", SILENT),
)


def answers(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """(question, what was said, whether it is right and cites), asked in `folder`."""
    (folder / "town").mkdir()
    for name, text in FILES.items():
        (folder / "town" / name).write_text(text)
    asking = {"effort": "low", "max_tokens": 60, "date": "2025-08-05", "temperature": 0.0}
    with chdir(folder):  # paths stand in the prompt
        gptoss_magic.index("./indexes/town", "town")
        for question, wanted in ASKED:
            passages = gptoss_magic.search("./indexes/town", question, 2)
            said = gptoss_magic.generate(question, passages=passages, **asking)
            cites = any(one.valid for one in said.citations)
            yield question, said.final, wanted in said.final and (cites or wanted == SILENT)


def main() -> int:
    """Print each answer; 1 where one of those that the sources answer is wrong."""
    parser = argparse.ArgumentParser(prog="tools.stand_in.town")
    loaded.add_option(parser)
    loaded.load(parser.parse_args().mixture)
    with tempfile.TemporaryDirectory() as folder:
        rows = list(answers(Path(folder)))
    for question, said, is_right in rows:
        print(f"{'right' if is_right else 'wrong'}: {question} {said}")
    return 0 if all(is_right for *_, is_right in rows[:-1]) else 1


if __name__ == "__main__":
    sys.exit(main())
