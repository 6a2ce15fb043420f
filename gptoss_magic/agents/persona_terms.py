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
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(
            f"{label}: cannot be read ({error.strerror}); the file lies beside the persona"
        ) from None
    terms, remarks = read_turtle(data, label)
    whole = replace(persona, terms=terms, terms_file="", source="")
    if len(render_persona(whole)) > MOST_CHARS:
        raise InputError(
            f"{label}: with its terms the persona has more than {MOST_CHARS:,} characters; give "
            "fewer"
        )
    return whole, remarks
