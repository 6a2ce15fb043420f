"""How the records of a notebook's answers are read back. Legend: T tokens.

A record stands in the output's metadata, and once more in the answer's own MIME type, since some
front ends rewrite metadata. It is untrusted when it is read: all of it is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from gptoss_magic.errors import InputError
from gptoss_magic.records.packed import AGAIN, unpack_ids, unpack_logprobs
from gptoss_magic.sharing.notebooks import answer_in, member, outputs_of, record_in, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.records.provenance import Provenance


@dataclass(frozen=True)
class RecordedCall:
    """One call of the model: what it read, what it said (`kept` of it stood already).

    `logprobs` [T] of the tokens that it generated, in nats; () where none were kept.
    """

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    kept: int
    logprobs: tuple[float, ...]
    finish: str


@dataclass(frozen=True)
class RecordedAnswer:
    """An answer as a notebook has it. `cell` counts from 1; `order` is the cell's `In [n]`.

    `calls` are () where `fault` says why it cannot be run again. `about` has the provenance's keys,
    each of the right type.
    """

    cell: int
    order: int | None
    asked: str
    about: Provenance
    calls: tuple[RecordedCall, ...]
    fault: str = ""


def records_of(notebook: Any) -> Iterator[RecordedAnswer]:
    """The recorded answers of a notebook (nbformat 4, as JSON), in order of execution.

    Raises InputError where it is no notebook. An answer whose record is damaged has a `fault`.
    """
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise InputError(
            "this is no notebook: it has no list of cells (nbformat 4 is read); give another file"
        )
    places = [(n, cell) for n, cell in enumerate(cells, 1) if isinstance(cell, dict)]
    seen: set[str] = set()
    for number, cell in sorted(places, key=lambda place: _order(place[1])):
        for record, asked in _raw_records(cell):
            turn_id = str(member(record, "turn").get("id", ""))
            if turn_id and turn_id in seen:
                continue  # the same answer, shown once more
            seen.add(turn_id)
            yield read_record(record, asked, number, _count(cell))


def _order(cell: Mapping[str, Any]) -> float:
    count = _count(cell)
    return float("inf") if count is None else count


def _count(cell: Mapping[str, Any]) -> int | None:
    count = cell.get("execution_count")
    return count if isinstance(count, int) else None


def _raw_records(cell: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """(record, the user's words) of each answer among a cell's outputs."""
    for output in outputs_of(cell):
        record, asked = record_in(output), answer_in(output).get("prompt")
        grid = record.get("grid")
        for one in grid if isinstance(grid, list) else [record]:
            if isinstance(one, dict) and one and not _is_run(one):
                yield one, asked if isinstance(asked, str) else source_of(cell)


def _is_run(record: Mapping[str, Any]) -> bool:
    """True of what a tuning run leaves: how it was made, and no answer."""
    return {"run", "train"} <= record.keys() and not {"generations", "sampling"} & record.keys()


def read_record(
    record: dict[str, Any], asked: str, number: int, order: int | None
) -> RecordedAnswer:
    """One answer's record, of the cell `number`; what is wrong with it is its `fault`."""
    about = checked(record)
    try:
        calls, fault = _calls(record), ""
    except InputError as error:
        calls, fault = (), str(error)
    return RecordedAnswer(number, order, asked, about, calls, fault)


TYPES: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "weights": str,
    "adapters": list,
    "versions": dict,
    "effort": str,
    "schema": dict,
    "probe": dict,
    "sampling": dict,
    "persona": dict,
    "terms": dict,
    "passages": list,
    "tools": dict,
    "memory": dict,
    "turn": dict,
    "template": str,
    "indexes": dict,
    "cached_tokens": int,
    "surgery": dict,
    "map": dict,
}


def checked(record: Mapping[str, Any]) -> Provenance:
    """Those keys of a foreign record that have the right type."""
    about = {key: record[key] for key, kind in TYPES.items() if isinstance(record.get(key), kind)}
    about["adapters"] = [one for one in about.get("adapters", []) if isinstance(one, dict)]
    about["passages"] = [one for one in about.get("passages", []) if isinstance(one, dict)]
    return cast("Provenance", about)


def _calls(record: Mapping[str, Any]) -> tuple[RecordedCall, ...]:
    """Raises InputError where there are no tokens, or damaged ones."""
    packed = record.get("generations")
    if packed is None:
        if "map" in record:
            raise InputError(
                "a map's rows stand in its journal, not in the notebook: keep its folder beside it"
            )
        raise InputError(
            "it was recorded without the answer's tokens, by an older version: ask the prompt again"
        )
    if not isinstance(packed, list) or not packed:
        raise InputError(f"the record is damaged: it has no list of generations; {AGAIN}")
    calls: list[RecordedCall] = []
    before: tuple[int, ...] = ()
    for one in packed:
        calls.append(_call(one, before))
        before = (*calls[-1].prompt_ids, *calls[-1].answer_ids)
    return tuple(calls)


def _call(packed: Any, before: Sequence[int]) -> RecordedCall:
    if not isinstance(packed, dict):
        raise InputError(f"the record is damaged: a generation is no object; {AGAIN}")
    prompt_T = unpack_ids(packed.get("prompt"), before)
    answer_T = unpack_ids(packed.get("answer"))
    logprobs = unpack_logprobs(packed.get("logprobs", "0:"))
    kept, finish = packed.get("kept", 0), packed.get("finish", "")
    is_whole = isinstance(kept, int) and 0 <= kept <= len(answer_T)
    if not is_whole or not prompt_T or len(logprobs) not in (0, len(answer_T) - kept):
        raise InputError(
            f"the record is damaged: its counts of tokens contradict each other; {AGAIN}"
        )
    return RecordedCall(tuple(prompt_T), tuple(answer_T), kept, tuple(logprobs), str(finish))
