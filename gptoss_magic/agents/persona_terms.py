"""The Turtle file that a persona names, read from beside it and written into it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.agents.persona_file import MOST_CHARS, render_persona
from gptoss_magic.agents.turtle import LARGEST_FILE, read_turtle
from gptoss_magic.errors import InputError
from gptoss_magic.quoting import printable

if TYPE_CHECKING:
    from pathlib import Path

    from gptoss_magic.agents.persona import Persona


def with_terms(persona: Persona, folder: Path) -> tuple[Persona, list[str]]:
    """(the persona with the terms of its file in `folder`, remarks): one file from now on.

    Raises InputError, MissingPackage.
    """
    if not persona.terms_file:
        return persona, []
    path = folder / persona.terms_file
    label = f"persona {persona.name}: {printable(persona.terms_file)}"
    try:
        data = _data(path)
    except OSError as error:
        raise InputError(
            f"{label}: cannot be read ({error.strerror}); the file lies beside the persona: see "
            "who may read it"
        ) from None
    if data is None:
        raise InputError(
            f"{label}: no file; the file of terms lies beside the persona: put it there"
        )
    terms, remarks = read_turtle(data, label)
    whole = replace(persona, terms=terms, terms_file="", source="")
    if len(render_persona(whole)) > MOST_CHARS:
        raise InputError(
            f"{label}: with its terms the persona has more than {MOST_CHARS:,} characters; give "
            "fewer"
        )
    return whole, remarks


def _data(path: Path) -> bytes | None:
    """A file's bytes, one more than may be at most; None for a folder or a pipe."""
    if path.exists() and not path.is_file():  # a pipe may never end
        return None
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)
