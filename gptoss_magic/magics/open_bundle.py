"""`%gptoss open PATH.zip`: what a bundle brings and needs; unpacked, and nothing of it used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.magics import options as opt
from gptoss_magic.magics.checks import check_alone
from gptoss_magic.magics.consent import check_agreed, visible
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gptoss_magic.sharing.bundle.manifest import BundledPart
    from gptoss_magic.sharing.bundle.unpack import Bundle

OPTIONS: list[opt.Option] = [
    (("path",), {"help": "a bundle of %%gptoss share"}),
    (("-i", "--into"), {"metavar": "DIR", "help": "a new folder; else of the bundle's name, here"}),
    (("-c", "--check"), {"action": "store_true", "help": "what differs here; nothing is written"}),
    (("-y", "--yes"), {"action": "store_true", "help": "unpack without a question"}),
]
PARSER = opt.parser(
    "%gptoss open",
    OPTIONS,
    "Look at a shared bundle, and unpack it.",
    ["%gptoss open notes.zip --check", "%gptoss open notes.zip --into notes"],
)
MOST_NAME = 80


def run(line: str, magics: Any) -> None:
    """One line: all of the bundle is checked, its list and what differs here shown, then asked."""
    from gptoss_magic.sharing.bundle.unpack import checked_folder, inspect_bundle, unpack

    given = opt.parse(PARSER, line)
    if given.check:
        check_alone("%gptoss open", given, "--check", ("path",))
    bundle = inspect_bundle(given.path)
    show(bundle)
    if given.check:
        return
    target = checked_folder(bundle.path, given.into)
    question = f"Unpack it into {target}? Nothing of it is attached or run."
    check_agreed(magics.shell, given.path, question, is_yes=given.yes)
    notebook = unpack(bundle, target)
    print(f"unpacked into {target}; nothing of it is attached, kept or run. To use it:")
    for hint in (f"%gptoss replay '{notebook}'", *hints(bundle, target)):
        print(f"  {hint}")


def words(_typed: list[str]) -> list[str]:
    return opt.flags(OPTIONS)


def show(bundle: Bundle) -> None:
    """Two tables: what it brings, and what it was made with beside what is here."""
    from gptoss_magic.magics.index import show_table
    from gptoss_magic.sharing.bundle.check import differences
    from gptoss_magic.sharing.bundle.sizes import size_text

    manifest = bundle.manifest
    rows = [("notebook", manifest.notebook, f"{bundle.num_answers} recorded answers")]
    rows += [
        (part.kind, part.name, part.note if part.path else f"not in it: {part.note}")
        for part in manifest.parts
    ]
    show_table(("it has", "", ""), [tuple(visible(text[:400]) for text in row) for row in rows])
    told = [
        ("same" if one.is_same else "differs", one.what, one.there, one.here, one.hint)
        for one in differences(bundle)
    ]
    show_table(("", "what", "there", "here", "what to do"), told)
    print(
        f"{counted(len(manifest.files), 'file')}, {size_text(bundle.num_bytes)} "
        "unpacked, all as listed"
    )


def hints(bundle: Bundle, target: Path) -> Iterator[str]:
    """A line for each part that may be used, for the user to run."""
    for part in bundle.manifest.parts:
        if part.path:
            yield _hint(part, str(target / part.path))


def _hint(part: BundledPart, place: str) -> str:
    if part.kind == "adapter":
        return f"%gptoss lora attach '{place}'"
    if part.kind == "persona":
        return f"%gptoss persona import '{place}'"
    if part.kind == "index":
        return f"%gptoss index '{place}'/sources, or %%gptoss --rag '{place}'/NAME of its table"
    return f"{part.kind} {part.name[:MOST_NAME]!r}: '{place}'"
