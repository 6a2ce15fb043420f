"""Tuning methods: what is trained, one `Method` object in a file each; `METHODS` is the registry.

No other module of the package knows a method's name.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods import (
    adalora,
    experts,
    experts_full,
    full,
    heads,
    last_layers,
    lora,
    prefix,
    prompt,
    router,
    router_then_experts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from dataclasses import Field

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Method
    from gptoss_magic.tuning.settings import MethodSettings

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        experts.METHOD,
        lora.METHOD,
        router.METHOD,
        router_then_experts.METHOD,
        experts_full.METHOD,
        last_layers.METHOD,
        heads.METHOD,
        adalora.METHOD,
        prompt.METHOD,
        prefix.METHOD,
        full.METHOD,
    )
}
DEFAULT = experts.METHOD.name  # where none is asked for


def method_of(settings: MethodSettings) -> Method:
    """The method whose settings these are."""
    return METHODS[settings.name]


def settings_of(name: str = DEFAULT, **given: Any) -> MethodSettings:
    """Settings of the method `name`; what is not `given` has its default.

    Raises InputError for an unknown method, and for options that it does not have.
    """
    if name not in METHODS:
        raise InputError(f"method {name!r}: there are {', '.join(METHODS)}")
    known = {field.name: field for field in fields(METHODS[name].settings)}
    wrong = [option for option in given if option not in known]
    if wrong:
        flags = {option.name: f" ({option.metadata['flags'][1]})" for option in options()}
        raise InputError(
            f"method {name} has no {wrong[0]}{flags.get(wrong[0], '')}; "
            f"it has {', '.join(known) or 'no options'}"
        )
    return METHODS[name].settings(**given)


def settings_from(record: Mapping[str, Any]) -> MethodSettings:
    """Settings as `record()` wrote them, also with fields of other methods, as earlier runs have.

    Raises InputError for fields of no method.
    """
    method = METHODS.get(record["name"])
    others = {option.name for option in options()} - {
        option.name for option in (fields(method.settings) if method else ())
    }
    return settings_of(**{name: value for name, value in record.items() if name not in others})


def options() -> Iterator[Field[Any]]:
    """Each option of all methods once, with its flags and help in the field's metadata."""
    seen = set()
    for method in METHODS.values():
        for option in fields(method.settings):
            if option.name not in seen:
                seen.add(option.name)
                yield option


def make_parts(model: Model, context: Context) -> list[Any]:
    """The parts of the method of `context.settings`, new and seeded; not attached.

    Of a method with two stages these are the second's. Raises InputError where the settings do not
    suit the model.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        return method_of(context.settings).apply(model, context)
