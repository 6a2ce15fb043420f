"""What a bundle will hold, from the records of its notebook: planned before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.sharing.bundle.indexes import WHOLE, planned_index
from gptoss_magic.sharing.bundle.lock import lock_text
from gptoss_magic.sharing.bundle.manifest import LOCK, MANIFEST, BundledModel, BundledPart
from gptoss_magic.sharing.bundle.parts import (
    PlannedFile,
    PlannedPart,
    planned_adapter,
    planned_journal,
    planned_persona,
    planned_preset,
    presets_named,
)
from gptoss_magic.sharing.bundle.paths import Names
from gptoss_magic.sharing.bundle.secrets import Secret, SecretFinder
from gptoss_magic.sharing.bundle.texts import (
    are_tokens_read,
    has_pictures,
    notebook_texts,
    template_here,
    token_texts,
)
from gptoss_magic.sharing.recorded import answers_in, check_file
from gptoss_magic.textfiles import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.sharing.records import RecordedAnswer

NO_PRESETS = "presets are not asked for here"


@dataclass(frozen=True)
class SharePlan:
    """What will be written into a bundle, and what in it looks secret.

    `notes`: lines on what could not be looked through, or is otherwise than it seems.
    """

    notebook: Path
    files: tuple[PlannedFile, ...]
    parts: tuple[PlannedPart, ...]
    models: tuple[BundledModel, ...]
    template: str
    secrets: tuple[Secret, ...]
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> list[BundledPart]:
        """What the answers name and the bundle will not hold."""
        return [part.about for part in self.parts if not part.about.path]

    @property
    def num_bytes(self) -> int:
        """Of all files, before they are packed; adapters as large as their numbers."""
        return sum(file.num_bytes for file in self.files) + sum(p.num_bytes for p in self.parts)


def no_preset(name: str) -> dict[str, Any]:
    """Where presets are not asked for."""
    raise InputError(f"preset {name}: {NO_PRESETS}; leave it out")


def plan_share(
    notebook: str | Path,
    *,
    index: str = "name",
    preset_named: Callable[[str], dict[str, Any]] = no_preset,
) -> SharePlan:
    """Look at a saved notebook: what its answers name, and what looks secret in all of it.

    `index`: 'whole', 'sources' or 'name'. `preset_named` gives a preset's settings or raises
    InputError. Raises InputError where it is no notebook or has no recorded answer.
    """
    path = Path(notebook).expanduser()
    if path.suffix.lower() != ".ipynb":
        raise InputError(f"{path}: a bundle is of a notebook; give a file that ends in .ipynb")
    check_file(path)
    cells = read_json(path)
    answers = answers_in(cells, path)
    names = Names()
    names.free("", MANIFEST)
    main = PlannedFile(names.free("", path.name), path)
    lock = PlannedFile(names.free("", LOCK), lock_text().encode())
    parts = tuple(_parts(cells, answers, names, partial(planned_index, form=index), preset_named))
    plan = SharePlan(path, (main, lock), parts, _models(answers), _template(answers), ())
    secrets, notes = _secrets(cells, answers, plan), _notes(cells, answers, plan)
    return replace(plan, secrets=secrets, notes=tuple(notes))


def _parts(
    notebook: Any,
    answers: Sequence[RecordedAnswer],
    names: Names,
    index_planned: Callable[..., PlannedPart],
    preset_named: Callable[[str], dict[str, Any]],
) -> Iterator[PlannedPart]:
    """All that the records name, each once."""
    adapters = {str(one.get("uid")): one for a in answers for one in a.about.get("adapters", [])}
    yield from (planned_adapter(record, names) for record in adapters.values())
    layers = [layer for a in answers for layer in _layers(a.about.get("persona", {}))]
    yield from (planned_persona(*layer, names) for layer in dict.fromkeys(layers))
    yield from (planned_preset(name, names, preset_named) for name in presets_named(notebook))
    for name, version in _indexes(answers).items():
        yield index_planned(name, version, names)
    maps = [str(a.about.get("map", {}).get("journal", "")) for a in answers if "map" in a.about]
    yield from (planned_journal(folder, names) for folder in dict.fromkeys(maps))


def _layers(persona: Any) -> list[tuple[str, str]]:
    """(name, SHA-256) of a persona's layers, as far as a record is read."""
    layers = persona.get("layers")
    entries = layers if isinstance(layers, list) else []
    return [
        (str(one.get("name", "")), str(one.get("sha256", "")))
        for one in entries
        if isinstance(one, dict)
    ]


def _indexes(answers: Sequence[RecordedAnswer]) -> dict[str, str]:
    """Name and recorded version ('' where none was) of each index that was quoted."""
    known: dict[str, str] = {}
    for answer in answers:
        for passage in answer.about.get("passages", []):
            known.setdefault(str(passage.get("index", "")), "")
        known |= {str(n): str(v) for n, v in answer.about.get("indexes", {}).items()}
    known.pop("", None)
    return known


def _models(answers: Sequence[RecordedAnswer]) -> tuple[BundledModel, ...]:
    """By the digest of their weights; of a folder's name only its last part goes."""
    models = {a.about.get("weights", ""): a.about.get("model", "") for a in answers}
    return tuple(
        BundledModel(name if name.count("/") <= 1 and Path(name).name else Path(name).name, weights)
        for weights, name in models.items()
    )


def _template(answers: Sequence[RecordedAnswer]) -> str:
    known = [answer.about.get("template", "") for answer in answers]
    return next(filter(None, known), template_here())


def _secrets(
    notebook: Any, answers: Sequence[RecordedAnswer], plan: SharePlan
) -> tuple[Secret, ...]:
    """In all that goes, the names of the files among it."""
    texts = [*notebook_texts(notebook), *token_texts(answers)]
    for part in plan.parts:
        texts += part.texts()
    names = [file.path for file in (*plan.files, *(f for p in plan.parts for f in p.files))]
    texts.append((MANIFEST, "\n".join([*names, *(model.name for model in plan.models)])))
    return tuple(SecretFinder().search(texts))


def _notes(notebook: Any, answers: Sequence[RecordedAnswer], plan: SharePlan) -> Iterator[str]:
    if has_pictures(notebook):
        yield "pictures are not looked through for secrets: look at them yourself"
    if not are_tokens_read(answers):
        yield (
            "recorded tokens (system prompts, tools' results) are not looked through: load the "
            "model that wrote them first"
        )
    if any(part.about.kind == "index" and part.form == WHOLE for part in plan.parts):
        yield "a whole index keeps its earlier versions, too"
