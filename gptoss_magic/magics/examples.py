"""`%gptoss examples`: the example notebooks, copied into a folder of the user's."""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gptoss_magic.atomic import whole_file
from gptoss_magic.errors import StorageError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.consent import confirm
from gptoss_magic.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = "gptoss_examples"
PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE / "notebooks", PACKAGE.parent / "notebooks")  # of a wheel, of a checkout
OPTIONS: list[opt.Option] = [
    (("folder",), {"nargs": "?", "metavar": "FOLDER", "help": f"where to; {FOLDER}, here"}),
    (("-f", "--force"), {"action": "store_true", "help": "write over those that you have changed"}),
]
PARSER = opt.parser(
    "%gptoss examples",
    OPTIONS,
    "Copy the example notebooks into a folder of yours; none of your files is overwritten unasked.",
    ["%gptoss examples", "%gptoss examples ~/gptoss"],
)


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss examples`."""
    given = opt.parse(PARSER, line)
    target = Path(given.folder or FOLDER).expanduser()
    notebooks = shipped()
    changed = [one for one in notebooks if differs(one, target / one.name)]
    kept = [] if not changed or given.force or agreed(magics.shell, changed, target) else changed
    copied = [one for one in notebooks if one not in kept and copy(one, target / one.name)]
    show([(target / one.name, title_of(one)) for one in notebooks])
    print(f"{len(copied)} notebooks copied into {printable(target)}")
    if kept:
        names = ", ".join(one.name for one in kept)
        print(f"as you have them: {names}; --force writes over them")


def words(_typed: list[str]) -> list[str]:
    return opt.flags(OPTIONS)


def shipped() -> list[Path]:
    """The notebooks that the package brings. Raises StorageError where it has lost them."""
    found = next((sorted(place.glob("*.ipynb")) for place in PLACES if place.is_dir()), [])
    if not found:
        raise StorageError(f"{PLACES[0]}: no notebook is there; install the package anew")
    return found


def differs(ours: Path, theirs: Path) -> bool:
    """Whether something else is there."""
    if not os.path.lexists(theirs):
        return False
    return not theirs.is_file() or theirs.read_bytes() != ours.read_bytes()


def agreed(shell: Any, changed: Sequence[Path], target: Path) -> bool:
    """The user's yes to losing what is there; no where nobody can be asked."""
    names = ", ".join(one.name for one in changed)
    return bool(confirm(shell, f"Write over {names} in {printable(target)}? They are not as ours."))


def copy(ours: Path, theirs: Path) -> bool:
    """Write a notebook where it is not there yet; whether it was written. Raises StorageError."""
    if theirs.is_file() and theirs.read_bytes() == ours.read_bytes():
        return False
    with whole_file(theirs) as file:
        file.write_bytes(ours.read_bytes())
    return True


def title_of(notebook: Path) -> str:
    """Its first heading."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return "".join(cells[0]["source"]).partition("\n")[0].lstrip("# ")


def show(rows: Sequence[tuple[Path, str]]) -> None:
    """The notebooks as links that JupyterLab opens, each with its title."""
    from IPython.display import display

    items = "".join(
        f'<li><a href="{escape(link(path))}">{escape(path.name)}</a> · {escape(title)}</li>'
        for path, title in rows
    )
    text = "\n".join(f"{path.name:<26}{title}" for path, title in rows)
    display({"text/html": f"<ul>{items}</ul>", "text/plain": text}, raw=True)


def link(path: Path) -> str:
    """A path relative to this folder, as a page writes it."""
    return quote(Path(os.path.relpath(path)).as_posix())
