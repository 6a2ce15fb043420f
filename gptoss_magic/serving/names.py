"""Names of models: the base, adapters beside it, and personas: `base+adapter@persona`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.serving.faults import ApiError
from gptoss_magic.session import current
from gptoss_magic.vocabulary import BASE, NONE, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def read_name(name: str) -> ModelName:
    """What `name` means. Raises ApiError: 404 for a name that no model has; NotLoaded."""
    base = base_name()
    for known in (base, BASE):
        rest = name.removeprefix(known)
        if name.startswith(known) and (not rest or rest[0] in "+@"):
            return _with_parts(name, rest)
    near = nearest(name, [one["id"] for one in models()])
    raise ApiError(
        404,
        f"model {name!r}: there is none of that name{near or f'; there is {base}'}",
        code="model_not_found",
        param="model",
    )


def _with_parts(name: str, rest: str) -> ModelName:
    adapters, _, persona = rest.partition("@")
    wanted = tuple(filter(None, adapters.split("+"))) or (NONE,)
    layers = tuple(filter(None, persona.split("+")))
    try:
        current().adapters(wanted)
        current().layers(layers)
    except InputError as error:
        raise ApiError(404, str(error), code="model_not_found", param="model") from None
    return ModelName(name, wanted, layers)


def models() -> list[dict[str, Any]]:
    """All that can be asked by name, as OpenAI lists models, with vLLM's `root` and `parent`."""
    session, base = current(), base_name()
    return [_entry(base, None), *(_entry(name, base) for name in _beside(base, session))]


def _beside(base: str, session: Any) -> Iterator[str]:
    adapters = [f"{base}+{name}" for name in session.shelf.held]
    yield from adapters
    for persona in session.personas:
        yield from (f"{name}@{persona}" for name in (base, *adapters))


def _entry(name: str, parent: str | None) -> dict[str, Any]:
    session = current()
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "gptoss_magic",
        "root": base_name(),
        "parent": parent,
        "max_model_len": session.engine.context,
    }
