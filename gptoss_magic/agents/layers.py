"""Layers of personas: a base, what it extends, and overlays, as one persona."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.persona import Character, Persona, Sampler
from gptoss_magic.agents.persona_file import render_persona
from gptoss_magic.agents.position import laid
from gptoss_magic.agents.signals import heard
from gptoss_magic.agents.terms import key_of
from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gptoss_magic.records import Term


def layers_of(names: Sequence[str], personas: Mapping[str, Persona]) -> list[Persona]:
    """The personas below and up to each of `names`, in the order they are laid; none twice.

    'none' alone is no persona. Raises InputError for unknown names and for circles.
    """
    found: dict[str, Persona] = {}
    if NONE in names:
        if len(names) > 1:
            raise InputError("persona none: leave the other names out")
        return []
    for name in names:
        for persona in _chain(name, personas):
            found.setdefault(persona.name, persona)
    return list(found.values())


def overlay(layers: Sequence[Persona]) -> Persona:
    """One persona of all: what a later layer says wins, the texts stand below each other.

    Without layers a persona that says nothing.
    """
    name = "+".join(layer.name for layer in layers)
    text = "\n\n".join(layer.text for layer in layers if layer.text)
    return Persona(
        name,
        text,
        Character(**{k: v for one in layers for k, v in _said(one.character).items()}),
        _last(layer.effort for layer in layers),
        Sampler(**{k: v for one in layers for k, v in _said(one.sampler).items()}),
        _last(layer.adapters for layer in layers),
        _last(layer.tools for layer in layers),
        _last(layer.memory for layer in layers),
        position=laid(layer.position for layer in layers),
        terms=_terms(layers),
        rag=_last(layer.rag for layer in layers),
        passages=_last(layer.passages for layer in layers),
        signals=tuple(signal for layer in layers for signal in layer.signals),
        handoff=_last(layer.handoff for layer in layers),
    )


def called_by(
    text: str, layers: Sequence[Persona], named: Callable[[Sequence[str]], list[Persona]]
) -> tuple[Persona, list[Persona], tuple[str, ...]]:
    """(the persona, its layers, what was heard) where signals of the layers stand in `text`.

    What a signal calls lies on top for the turn; name, memory and index stay the persona's own.
    Raises InputError where it calls an overlay that is not here.
    """
    base = overlay(layers)
    found = heard(base.signals, text)
    if not found:
        return base, list(layers), ()
    known = {layer.name: layer for layer in layers}
    for one in found:
        try:
            known |= {layer.name: layer for layer in named(one.signal.overlay)}
        except InputError as error:
            raise InputError(f"persona {base.name}: its signal «{one.by}»: {error}") from error
    above = list(known.values())
    tools = [tool for layer in above for tool in layer.tools or ()]
    tools += [tool for one in found for tool in one.signal.tools]
    adapters = next((one.signal.adapters for one in reversed(found) if one.signal.adapters), None)
    effort = next((one.signal.effort for one in reversed(found) if one.signal.effort), None)
    offered = tuple(dict.fromkeys(tools)) or None
    turn = Persona(base.name, effort=effort, adapters=adapters, tools=offered)
    whole = overlay([*above, turn])
    own = {key: getattr(base, key) for key in ("name", "memory", "rag", "passages", "handoff")}
    return replace(whole, **own), above, tuple(one.words for one in found)


def _terms(layers: Sequence[Persona]) -> tuple[Term, ...]:
    """All layers' terms; a later layer's word on a name counts."""
    known = {key_of(term.name): term for layer in layers for term in layer.terms}
    return tuple(known.values())


def digest(persona: Persona) -> str:
    """The first 16 hex digits of the SHA-256 of what the persona says."""
    whole = encodable(render_persona(persona))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _chain(name: str, personas: Mapping[str, Persona]) -> list[Persona]:
    """A persona behind all that it extends."""
    chain: list[Persona] = []
    while name:
        if name not in personas:
            known = ", ".join(sorted(personas)) or "none yet"
            raise InputError(f"persona {name}: no such persona; there are {known}")
        if any(name == persona.name for persona in chain):
            raise InputError(f"persona {name}: it extends itself; take out one 'extends'")
        chain.append(personas[name])
        name = personas[name].extends
    return chain[::-1]


def _said(part: Character | Sampler) -> dict[str, Any]:
    return {key: value for key, value in vars(part).items() if value not in ("", None)}


def _last(values: Iterable[Any]) -> Any:
    return next((value for value in reversed(list(values)) if value is not None), None)
