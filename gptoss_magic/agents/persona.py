"""What a persona is: character, text, sampler, and what it names, without any of it.

A persona is untrusted text. It names tools and adapters, and brings none: a tool needs the user's
consent as ever, an adapter must be attached. What looks like a control token is broken.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.position import Position
from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from gptoss_magic.agents.signals import Signal
    from gptoss_magic.records import Term

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Character:
    """Who speaks, each in a few words of the author's own; '' where it is left open."""

    position: str = ""
    behaviour: str = ""
    archetype: str = ""
    style: str = ""


@dataclass(frozen=True)
class Sampler:
    """How tokens are drawn; None where the persona leaves it open."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Persona:
    """`text` is the body, Markdown. None stands for what the persona leaves open.

    `memory` is 'off', 'on' (in this notebook) or 'shared' (it asks for more, see the memory).
    `rag`: the index that it answers from, or 'none', with so many `passages` to a question.
    `extends` names the persona below it. `position`: values, rules and what it would never do.
    `terms` of its field are quoted where they bear on what is asked; `terms_file` names a Turtle
    file beside the persona that was not read yet. `signals`: words of the user that call something
    for a turn. `handoff`: personas that it may hand over to. `source`: the file as it was written.
    """

    name: str
    text: str = ""
    character: Character = field(default_factory=Character)
    effort: str | None = None
    sampler: Sampler = field(default_factory=Sampler)
    adapters: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    memory: str | None = None
    extends: str = ""
    position: Position = field(default_factory=Position)
    terms: tuple[Term, ...] = ()
    terms_file: str = ""
    rag: str | None = None
    passages: int | None = None
    signals: tuple[Signal, ...] = ()
    handoff: tuple[str, ...] | None = None
    source: str = field(default="", compare=False, repr=False)

    @property
    def instructions(self) -> str:
        """The developer message's instructions: the character, the position, then the text."""
        said = [f"{key.title()}: {value}" for key, value in vars(self.character).items() if value]
        parts = ["\n".join(said), self.position.text, self.text]
        return broken("\n\n".join(filter(None, parts)))

    @property
    def settings(self) -> dict[str, Any]:
        """What it says of sampler and effort: temperature, top_p, top_k, max_tokens, effort."""
        given = {**asdict(self.sampler), "effort": self.effort}
        return {key: value for key, value in given.items() if value is not None}


def check_name(name: str) -> str:
    """The name, or InputError where it cannot be one."""
    if not NAME.fullmatch(name) or name == NONE:
        raise InputError(
            f"persona {name[:64]!r}: a name has letters, digits, '_', '-' and '.' only, and is not "
            "'none'"
        )
    return name


def broken(text: str) -> str:
    """The text without anything that looks like a control token."""
    return text.replace("<|", "< |").replace("|>", "| >")
