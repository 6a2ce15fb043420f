"""Names of models: the base, adapters beside it, and personas: `base+adapter@persona`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gptoss_magic.agents.layers import overlay
from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.vocabulary import BASE, NONE, nearest

if TYPE_CHECKING:
    from gptoss_magic.agents.persona import Persona


@dataclass(frozen=True)
class ModelName:
    """`adapters`: 'none' for the bare base. `persona`: the base and its overlays; () is nobody."""

    name: str
    adapters: tuple[str, ...] = (NONE,)
    persona: tuple[str, ...] = ()


def base_name() -> str:
    """What the loaded model is called; of a folder its last part. Raises NotLoaded."""
    name = current().require().identity["model"]
    return Path(name).name if Path(name).is_absolute() else name


def names_beside(base: str) -> list[str]:
    """What can be asked besides the base: with each adapter, and with each persona."""
    session = current()
    adapters = [f"{base}+{name}" for name in session.shelf.held]
    voices = [f"{name}@{voice}" for voice in session.personas for name in (base, *adapters)]
    return adapters + voices


def read_name(name: str) -> ModelName:
    """What `name` means. Raises InputError for a name that no model has, NotLoaded."""
    base = base_name()
    for known in (base, PurePosixPath(base).name, BASE):  # a hub name also without its owner
        rest = name.removeprefix(known)
        if name.startswith(known) and (not rest or rest[0] in "+@"):
            return _with_parts(name, rest)
    near = nearest(name, [base, *names_beside(base)])
    raise InputError(f"model {name!r}: there is none of that name{near or f'; there is {base}'}")


def persona_named(names: str) -> Persona:
    """A persona, or a base with its overlays, `a+b`, as one. Raises InputError."""
    return overlay(current().layers([name.strip() for name in names.split("+")]))


def _with_parts(name: str, rest: str) -> ModelName:
    adapters, _, persona = rest.partition("@")
    wanted = tuple(filter(None, adapters.split("+"))) or (NONE,)
    layers = tuple(filter(None, persona.split("+")))
    current().adapters(wanted)
    current().layers(layers)
    return ModelName(name, wanted, layers)
