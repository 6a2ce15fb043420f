"""`%gptoss share PATH.zip`: the notebook and what its answers name, in one file, once you agree."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.consent import check_agreed
from gptoss_magic.magics.live import cell_number

if TYPE_CHECKING:
    from gptoss_magic.sharing.bundle.plan import SharePlan

FORMS = ("whole", "sources", "name")
OPTIONS: list[opt.Option] = [
    (("path",), {"help": "a new file that ends in .zip"}),
    (("notebook",), {"nargs": "?", "help": "a saved notebook; else this one"}),
    (("-i", "--index"), {"choices": FORMS, "default": "name", "help": "how its indexes go; name"}),
    (("-f", "--force"), {"action": "store_true", "help": "write over a file that is there"}),
    (("-y", "--yes"), {"action": "store_true", "help": "agree to all that is shown"}),
]
PARSER = opt.parser(
    "%gptoss share",
    OPTIONS,
    "Write the notebook and what it needs into one zip.",
    ["%gptoss share notes.zip", "%gptoss share notes.zip notes.ipynb --index whole"],
)
MOST_SHOWN = 200  # secrets


def run(line: str, magics: Any) -> None:
    """One line: what will go, how large it is and what looks secret; written when you agree."""
    from gptoss_magic.magics import presets
    from gptoss_magic.sharing.bundle.pack import share
    from gptoss_magic.sharing.bundle.sizes import size_text

    given = opt.parse(PARSER, line)
    plan = share(
        given.path,
        given.notebook or notebook_path(magics.shell),
        index=given.index,
        replace=given.force,
        preset_named=presets.load,
        consent=partial(agree, magics.shell, given),
    )
    size = size_text(Path(given.path).expanduser().stat().st_size)
    print(f"{given.path} written ({size}). Open it by %gptoss open {given.path}")
    if plan.missing:
        print(f"it lacks {', '.join(f'{part.kind} {part.name}' for part in plan.missing)}")


def words(_typed: list[str]) -> list[str]:
    return opt.flags(OPTIONS)


def notebook_path(shell: Any) -> Path:
    """The file of the notebook that runs. Raises InputError where no front end tells it."""
    told = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
    path = Path(str(told))
    places = [place for place in (path, Path(path.name)) if place.suffix == ".ipynb"]
    known = next((place for place in places if place.is_file()), None)
    if known is None:
        where = f"{told} is not here" if told else "the front end does not say where it is"
        raise InputError(
            f"this notebook: {where}; save it and name it: %gptoss share PATH.zip NOTEBOOK"
        )
    return known


def agree(shell: Any, given: Any, plan: SharePlan) -> bool:
    """Show the plan, and ask; `--yes` agrees to what is shown."""
    show(plan)
    for note in (*plan.notes, *unsaved(shell, plan.notebook, is_this=given.notebook is None)):
        print(f"note: {note}")
    warning = f"{len(plan.secrets)} things in it look secret. " if plan.secrets else ""
    check_agreed(shell, given.path, f"{warning}Write {given.path}?", is_yes=given.yes)
    return True


def show(plan: SharePlan) -> None:
    """Two tables: what goes, with sizes, and what looks secret, by its first letters only."""
    from gptoss_magic.magics.index import show_table
    from gptoss_magic.sharing.bundle.sizes import size_text

    rows = [(file.path, size_text(file.num_bytes), "") for file in plan.files]
    for part in plan.parts:
        size = size_text(part.num_bytes) if part.about.path else "not in it"
        rows.append((f"{part.about.kind} {part.about.name}", size, part.about.note))
    rows += [
        (f"weights of {m.name}", "not in it", f"SHA-256 {m.weights[:16]}") for m in plan.models
    ]
    show_table(("what", "size", ""), [*rows, ("all", size_text(plan.num_bytes), "")])
    if plan.secrets:
        shown = [(s.kind, s.place, s.shown, s.count) for s in plan.secrets[:MOST_SHOWN]]
        show_table(("looks secret", "where", "begins", "times"), shown)
        if len(plan.secrets) > MOST_SHOWN:
            print(f"and {len(plan.secrets) - MOST_SHOWN} more places")
    else:
        print("nothing in it looks secret")


def unsaved(shell: Any, notebook: Path, *, is_this: bool) -> list[str]:
    """A note where cells ran after the file was saved: the bundle has the file as it is."""
    from gptoss_magic.sharing.notebooks import source_of
    from gptoss_magic.textfiles import read_json

    if not is_this:
        return []
    cells = [cell for cell in read_json(notebook)["cells"] if isinstance(cell, dict)]
    saved = {cell.get("execution_count"): source_of(cell).strip() for cell in cells}
    typed = shell.history_manager.input_hist_raw
    ran = [n for n in range(1, cell_number(shell)) if typed[n].strip()]
    kept = [n for n in ran if saved.get(n) == typed[n].strip()]
    later = [n for n in ran if n > max(kept, default=0)]
    if not later:
        return []
    return [f"In [{later[0]}] and what ran later is not in {notebook} as it is: save the notebook"]
