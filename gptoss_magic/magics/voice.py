"""Whose voice a cell has: the persona of its line, or the one in use, and the tools it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.session import current

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.agents.persona import Persona


def persona_names(options: Namespace) -> tuple[str, ...]:
    """What --persona names (`NAME+OVERLAY`), else those in use. 'none' is nobody."""
    if options.persona is None:
        return current().persona
    names = [name.strip() for name in options.persona.replace(",", "+").split("+")]
    current().layers(names)
    return () if names == ["none"] else tuple(names)


def persona_of(options: Namespace) -> Persona:
    """All layers as one; without a persona one that says nothing."""
    from gptoss_magic.agents.layers import overlay

    return overlay(current().layers(persona_names(options)))


def tool_names(options: Namespace) -> list[str]:
    """Tools that the line or the persona names, each once.

    Raises InputError where a persona asks for the user's own kernel: only the line may.
    """
    named_by_persona = persona_of(options).tools or ()
    for name in named_by_persona:
        if name.partition(":")[::2] == ("python", "kernel"):
            raise InputError(f"persona: it may not name {name}; --tool {name} offers it")
    return list(dict.fromkeys([*(options.tool or ()), *named_by_persona]))
