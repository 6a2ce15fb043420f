"""What an answer is made of: a plain dict of JSON values at run time, typed by its keys.

It stands in a cell's metadata, and a later kernel reads it back, so that any key may be missing.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class ShownProvenance(dict[str, Any]):
    """A `Provenance` that a notebook shows as a short table."""


class SamplingRecord(TypedDict):
    """The fields of `SamplingSettings`; `stop` is a list, as in JSON."""

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    seed: int
    stop: list[str]
    lookup: int


class ModelIdentity(TypedDict):
    """A checkpoint by name, by revision (None for a folder) and by the digest of its weights."""

    model: str
    revision: str | None
    weights: str


class AdapterRecord(TypedDict):
    """One adapter beside the model; `path` is the digest of where it lies."""

    name: str
    uid: str
    scale: float
    path: str


class _ServerRecord(TypedDict):
    url: str
    kind: str
    version: str
    model: str
    exact: bool


class ServerRecord(_ServerRecord, total=False):
    """The server that answered. `exact`: it read our token ids, and gave its own.

    `prompt_tokens`, `completion_tokens`: its counts, where only it knows them. `note`: what went
    wrong in mid-answer.
    """

    prompt_tokens: int
    completion_tokens: int
    note: str


class _SchemaRecord(TypedDict):
    name: str
    schema: dict[str, Any]
    calls: bool


class SchemaRecord(_SchemaRecord, total=False):
    """The JSON schema, whether tools could be called before it, and why `final` has no value."""

    error: str


class ProbeRecord(TypedDict):
    """Experts masked and forced, as `ExpertProbe` has them."""

    mask: str
    force: str


class LayerRecord(TypedDict):
    """One text of a persona."""

    name: str
    sha256: str


class PersonaRecord(TypedDict):
    """The persona whole, its layers from the base up, signals it heard, who handed over to it."""

    name: str
    sha256: str
    layers: list[LayerRecord]
    signals: NotRequired[list[str]]
    handed_by: NotRequired[str]


class TermsRecord(TypedDict):
    """Terms of the persona that the prompt quotes, and those that had no room, by name."""

    quoted: list[str]
    left_out: list[str]


class _RecalledItem(TypedDict):
    id: str
    kind: str
    time: str
    turn: int
    text: str


class RecalledItem(_RecalledItem, total=False):
    """One item of memory as it stood in the prompt; `time` is ISO 8601.

    `why` a fact was recalled: of whom it is, what led there, until when it held.
    """

    why: str


class _MemoryRecord(TypedDict):
    recalled: list[RecalledItem]


class MemoryRecord(_MemoryRecord, total=False):
    """What was recalled from which memory (`name`), and the `episode` that keeps the turn.

    `learned`: the facts that were drawn from it, [] where it held none. `failed`: why the turn, or
    its facts, could not be kept.
    """

    name: str
    episode: str
    learned: list[RecalledItem]
    failed: str


class TurnRecord(TypedDict):
    """The turn's id and that of the turn before it; '' where there is none."""

    id: str
    parent: str


class CallRecord(TypedDict):
    """A tool's call: its arguments by name, or raw where they were no JSON object."""

    name: str
    arguments: dict[str, Any] | str
    outcome: str


class _ToolTerms(TypedDict):
    policy: str
    origin: str


class ToolTerms(_ToolTerms, total=False):
    """How a tool was offered. `offer`: what `--tool` calls it, where that is not its name."""

    offer: str


class _ToolsRecord(TypedDict):
    offered: dict[str, ToolTerms]
    limits: dict[str, float]
    calls: list[CallRecord]


class ToolsRecord(_ToolsRecord, total=False):
    """A run's tools, bounds and calls, and the bound that ended it."""

    ended_by: str


class _SurgeryRecord(TypedDict):
    kind: str
    at: int


class SurgeryRecord(_SurgeryRecord, total=False):
    """'branch' or 'refine', the first token that was not kept, and how many stand already."""

    kept_tokens: int


class ReflectionRecord(TypedDict):
    """What was criticised (`of`), and how."""

    criticism: str
    of: str


class MapRecord(TypedDict):
    """A map's rows, and the folder of its journal, `~` for the user's home.

    `keys`: the first 12 digits of the key of each row there, in one text.
    """

    rows: int
    journal: str
    keys: str


class PassageRecord(TypedDict):
    """A quoted passage without its text; see `Passage`."""

    number: int
    index: str
    source: str
    heading: str
    first_line: int
    last_line: int


class Provenance(TypedDict, total=False):
    """All that an answer's maker knows of it; see the records for each key.

    `prompt_tokens` are the ids that the model read. `versions`: of packages, by name.
    `lone_surrogates`: characters of the prompt that were read as U+FFFD. `question_overlap`: the
    share of the question's words that the best passage has, in [0, 1]. Where it was read back from
    a notebook: `template`, a digest of how conversations were rendered, `indexes`, versions by
    name, and `map`, where it is that of many rows.
    """

    model: str
    revision: str | None
    weights: str
    adapters: list[AdapterRecord]
    versions: dict[str, str]
    effort: str
    server: ServerRecord
    schema: SchemaRecord
    probe: ProbeRecord
    routing: bool
    prompt_tokens: list[int]
    cached_tokens: int
    sampling: SamplingRecord
    lone_surrogates: int
    persona: PersonaRecord
    terms: TermsRecord
    memory: MemoryRecord
    turn: TurnRecord
    tools: ToolsRecord
    surgery: SurgeryRecord
    reflection: ReflectionRecord
    passages: list[PassageRecord]
    question_overlap: float
    template: str
    indexes: dict[str, int]
    map: MapRecord
