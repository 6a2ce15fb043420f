"""Does it say the same here? Each recorded answer of a notebook is run again from its tokens.

Nothing of the notebook's code runs: what is read are token ids and settings. Legend: T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import error_line
from gptoss_magic.session import current
from gptoss_magic.sharing import differences
from gptoss_magic.sharing.recorded import recorded_answers
from gptoss_magic.turns.answer import SILENT, speak
from gptoss_magic.turns.answer_schema import AnswerSchema
from gptoss_magic.turns.settle import SAMPLING, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from gptoss_magic.records import Consent, Request
    from gptoss_magic.records.provenance import Provenance
    from gptoss_magic.sharing.live import ToolNamed
    from gptoss_magic.sharing.records import RecordedAnswer, RecordedCall

IDENTICAL, PARTS, NOT_COMPARABLE = "identical", "parts", "not comparable"
ASIDE = "(replay)"  # the KV cache of what is run again
NEAR = 0.05  # nats between two candidates that rounding may exchange
WINDOW = 12  # tokens shown before the place where two answers part


@dataclass(frozen=True)
class Parting:
    """Where an answer parts from its record: the generated token `at`, from 0, of call `call`.

    `recorded` and `here` are the two candidates as text ('' where one of them has ended), behind
    the common `before`. `gap`: by how much `here` is likelier than `recorded` under this machine,
    in nats; None where one has ended.
    """

    call: int
    at: int
    before: str
    recorded: str
    here: str
    gap: float | None
    recorded_rest: str
    here_rest: str

    @property
    def is_near_tie(self) -> bool:
        """True where rounding may have exchanged the two."""
        return self.gap is not None and abs(self.gap) < NEAR


@dataclass(frozen=True)
class Replayed:
    """One recorded answer, run again.

    `verdict` is 'identical' (all tokens), 'parts' or 'not comparable'; `causes` say why it is not,
    `notes` what differs without a part in it. `change`: the largest change of a token's
    log-probability against the record, in nats, from one prefill of prompt and recorded answer;
    None where none was recorded or nothing could be run. `num_tokens` were recorded.
    """

    answer: RecordedAnswer
    verdict: str
    num_tokens: int = 0
    causes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parting: Parting | None = None
    change: float | None = None

    @property
    def words(self) -> str:
        """The verdict in one line."""
        parting = self.parting
        if self.verdict == NOT_COMPARABLE:
            where = f" (it parts at token {parting.at})" if parting else ""
            return f"{NOT_COMPARABLE}: {'; '.join(self.causes)}{where}"
        if parting is None:
            return f"{self.num_tokens} tokens are identical"
        gap = "" if parting.gap is None else f", {parting.gap:.3f} nats apart"
        tie = ": a near tie, which is numerics" if parting.is_near_tie else ""
        return f"parts at token {parting.at} of {self.num_tokens}{gap}{tie}"


def replay(
    path: str | Path,
    *,
    cell: int | None = None,
    journal: str | Path | None = None,
    tool_named: ToolNamed | None = None,
    consent: Consent = lambda tool, arguments, note: "not run: nobody was asked",
    on_answer: Callable[[int, int], None] = lambda done, total: None,
) -> list[Replayed]:
    """Run the recorded answers of a notebook or of a page again, in order of execution.

    `cell`: of this cell alone, counted from 1. A map's rows are read from its journal, whose folder
    is `journal` where it is neither where it was written nor beside the notebook. The recorded
    results of tools stand, unless `tool_named` says which tools a name means here: then each is
    called again where `consent` lets it. ■ leaves what is done. The session is as
    before. Raises InputError for a file that is neither or has no such answers, NotLoaded.
    """
    current().require()
    return replayed(recorded_answers(path, cell, journal), tool_named, consent, on_answer)


def replayed(
    answers: Sequence[RecordedAnswer],
    tool_named: ToolNamed | None,
    consent: Consent,
    on_answer: Callable[[int, int], None],
) -> list[Replayed]:
    """The same of answers that were read already."""
    live = None if tool_named is None else partial(_live, tool_named, consent)
    done: list[Replayed] = []
    for answer in answers:
        on_answer(len(done), len(answers))
        try:
            done.append(_replayed(answer, live))
        except KeyboardInterrupt:
            break
    return done


def _live(tool_named: ToolNamed, consent: Consent, answer: RecordedAnswer) -> tuple[str, ...]:
    from gptoss_magic.sharing.live import changed_results

    return changed_results(answer, tool_named, consent)


def _replayed(
    answer: RecordedAnswer, live: Callable[[RecordedAnswer], tuple[str, ...]] | None
) -> Replayed:
    """One answer; what cannot be run again is not comparable, with the cause."""
    if answer.fault:
        return Replayed(answer, NOT_COMPARABLE, causes=(answer.fault,))
    about = answer.about
    weights, template = differences.other_weights(about), differences.other_template(about)
    names, adapter = differences.adapters_here(about)
    probe = differences.other_probe(about)
    causes = tuple(filter(None, (weights, adapter, probe)))
    if (weights and template) or probe:
        return Replayed(answer, NOT_COMPARABLE, causes=(*causes, *filter(None, [template])))
    try:
        request = _request(about, names)
        parting, change = _run_again(answer.calls, request)
    except Exception as error:  # noqa: BLE001 (one answer's, whatever its record made of it)
        return Replayed(answer, NOT_COMPARABLE, causes=(*causes, error_line(error)))
    tools = live(answer) if live is not None and about.get("tools") else ()
    packages = differences.other_packages(about)
    notes = [template, *differences.changed_since(about)]
    explained = [*filter(None, (*causes, packages))]
    if parting is None:
        notes, explained = [*explained, *notes], []
    explained += tools
    verdict = NOT_COMPARABLE if explained else PARTS if parting else IDENTICAL
    size = sum(len(call.answer_ids) - call.kept for call in answer.calls)
    notes = [note for note in notes if note]
    return Replayed(answer, verdict, size, tuple(explained), tuple(notes), parting, change)


def _request(about: Provenance, names: Sequence[str]) -> Request:
    """What asks for an answer as the record says it was asked, without its tokens."""
    record: Mapping[str, Any] = about
    sampling, probe, schema = (record.get(key, {}) for key in ("sampling", "probe", "schema"))
    form = AnswerSchema(schema["schema"], str(schema.get("name", ""))) if schema else None
    line: dict[str, Any] = {
        **{key: value for key, value in sampling.items() if key in SAMPLING},
        "stop": tuple(sampling.get("stop", ())),
        "adapters": names,
        "schema": form,
        "calls": bool(schema.get("calls")),
        "mask_experts": str(probe.get("mask", "")),
        "force_experts": str(probe.get("force", "")),
        "conversation": ASIDE,
        "cold": not about.get("cached_tokens"),
    }
    return settle(prompt_ids=(0,), **line)


def _run_again(
    calls: Sequence[RecordedCall], request: Request
) -> tuple[Parting | None, float | None]:
    """(where the first call parts that does, largest change of a log-probability)."""
    parting, changes = None, []
    for number, call in enumerate(calls):
        asked = replace(
            request,
            prompt_ids=call.prompt_ids,
            kept_ids=call.answer_ids[: call.kept],
            sampling=replace(request.sampling, max_tokens=_limit(call, request)),
            is_cold=request.is_cold and number == 0,
        )
        if parting is None and len(call.answer_ids) > call.kept:
            said, _ = speak(asked, SILENT)
            if said.finish == "interrupt":
                raise KeyboardInterrupt
            parting = _parting(number, call, said.raw_tokens, asked)
        changes += _changes(call, asked)
    return parting, max(changes, default=None)


def _limit(call: RecordedCall, request: Request) -> int:
    """No more tokens than were recorded, where something else than the model ended them."""
    size = len(call.answer_ids) - call.kept
    if call.finish in ("return", "call", "stop"):
        return max(request.sampling.max_tokens, size)
    return max(1, size)


def _changes(call: RecordedCall, asked: Request) -> list[float]:
    """By how much each token's log-probability differs from the record, in nats."""
    if not call.logprobs:
        return []
    scores = _scores(asked, [*call.prompt_ids, *asked.kept_ids], call.answer_ids[call.kept :])
    if not scores:
        return []
    return [abs(here - then) for here, then in zip(scores, call.logprobs, strict=True)]


def _scores(asked: Request, prompt_T: Sequence[int], answer_T: Sequence[int]) -> list[float]:
    """Log-probabilities of `answer_T` as `asked`, in nats; [] where they cannot be had."""
    session = current()
    if asked.probe or not session.engine.capabilities.scores:
        return []
    with session.using(asked.adapters or ("none",)):
        return session.engine.score(prompt_T, answer_T)


def _parting(
    number: int, call: RecordedCall, here_T: Sequence[int], asked: Request
) -> Parting | None:
    """Where the tokens differ, if they do."""
    then_T = call.answer_ids
    if tuple(here_T) == then_T:
        return None
    pairs = enumerate(zip(then_T, here_T, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(then_T), len(here_T)))
    codec = current().codec
    recorded, here = then_T[at : at + 1], here_T[at : at + 1]
    gap = _gap(call, at, (recorded, here), asked) if recorded and here else None
    return Parting(
        number,
        at,
        codec.decode(list(then_T[max(0, at - WINDOW) : at])),
        codec.decode(list(recorded)),
        codec.decode(list(here)),
        gap,
        codec.decode(list(then_T[at:])),
        codec.decode(list(here_T[at:])),
    )


def _gap(
    call: RecordedCall, at: int, candidates: tuple[Sequence[int], Sequence[int]], asked: Request
) -> float | None:
    """Log-probability of what is said here less that of what was recorded, in nats."""
    prompt_T = [*call.prompt_ids, *call.answer_ids[:at]]
    scores = [score for one in candidates for score in _scores(asked, prompt_T, one)]
    return scores[1] - scores[0] if scores else None
