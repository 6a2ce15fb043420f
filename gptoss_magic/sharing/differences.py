"""What differs between a record and this kernel: the causes that a replay names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.harmony.template import template_digest
from gptoss_magic.session import current
from gptoss_magic.turns.loading import versions
from gptoss_magic.turns.record import index_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptoss_magic.records.provenance import Provenance


def other_weights(about: Provenance) -> str:
    """Why the resident model is not the recorded one; '' where it is."""
    identity = current().require().identity
    if not identity["weights"]:
        return f"weights: those of {identity['model']} are a server's, and not known here"
    if about.get("weights") == identity["weights"]:
        return ""
    return f"weights: {about.get('model', 'another model')} then, {identity['model']} here"


def other_template(about: Provenance) -> str:
    """Why the recorded tokens may mean something else here; '' where they do not."""
    known = about.get("template", "")
    if known == template_digest(current().codec):
        return ""
    return "template: conversations were rendered otherwise, or by another tokenizer"


def other_packages(about: Provenance) -> str:
    """Packages that shape an answer and have other versions here; '' where none has."""
    then, here = about.get("versions", {}), versions()
    changed = [
        f"{name} {then.get(name, 'unknown')} then, {version} here"
        for name, version in here.items()
        if then.get(name) != version
    ]
    return f"package: {'; '.join(changed)}" if changed else ""


def other_probe(about: Provenance) -> str:
    """Why the recorded masked or forced experts cannot be asked for here; '' where they can."""
    from gptoss_magic.routing.probe import parse_experts

    config = current().require_local().model.config
    size = config.num_hidden_layers, config.num_local_experts
    try:
        for spec in _strings(about.get("probe", {})).values():
            parse_experts(spec, *size)
    except InputError as error:
        return f"probe: {error}"
    return ""


def adapters_here(about: Provenance) -> tuple[list[str], str]:
    """(names of the attached adapters that stood beside the model, what is missing of them).

    They are found by their tensors' digest, under any name, at the scale of the record.
    """
    shelf = current().shelf
    attached: dict[tuple[str, float], str] = {}
    for name in shelf.names:
        (one,) = shelf.records([name])
        attached[one["uid"], one["scale"]] = name
    names: list[str] = []
    missing: list[str] = []
    for wanted in about.get("adapters", []):
        known = attached.get((str(wanted.get("uid")), _number(wanted.get("scale"))))
        if known is None:
            missing.append(f"{wanted.get('name', 'one')} at {_number(wanted.get('scale')):g}")
        else:
            names.append(known)
    cause = f"adapter: not attached as it was: {', '.join(missing)}" if missing else ""
    return names or ["none"], cause


def changed_since(about: Provenance) -> list[str]:
    """What stood behind the prompt and is another one now; its tokens do not change by that."""
    notes = []
    persona = _strings(about.get("persona", {}))
    if persona.get("name") and _persona_sha256(persona["name"]) != persona.get("sha256"):
        notes.append(f"persona {persona['name']}: another text here, or none")
    for name, version in about.get("indexes", {}).items():
        here = index_version(str(name))
        if here != version:
            notes.append(f"index {name}: version {version} then, {here or 'none'} here")
    return notes


def _persona_sha256(name: str) -> str | None:
    from gptoss_magic.agents.layers import digest, overlay

    try:
        return digest(overlay(current().layers(name.split("+"))))
    except InputError:
        return None


def _strings(record: Mapping[str, object]) -> dict[str, str]:
    return {key: value for key, value in record.items() if isinstance(value, str)}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 1.0
