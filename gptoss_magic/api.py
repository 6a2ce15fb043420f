"""The same as the magics, for scripts: `load`, `generate`, `map`, `unload`."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gptoss_magic.generation import Engine
    from gptoss_magic.model.load import Resident
    from gptoss_magic.model.plan import Plan
    from gptoss_magic.records import Answer, ChannelDelta, Comparison, Mapped, Passage, ToolSpec

PROVENANCE_KEY = "gptoss_magic"
BASE = "base"


def load(
    model: str | None = None,
    *,
    replace: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    **options: Any,
) -> str:
    """Load a model once for this process and say in one line what was done.

    `options`: device, context, revision, offline (see `LoadSettings`). `progress` is told bytes
    done, bytes in total and a note; `on_plan` the memory plan, before anything is read.
    """
    from gptoss_magic.model.load import LoadSettings, choose_model

    session = current()
    if model is None and session.resident is not None:
        return f"{session.resident.identity['model']} is loaded"
    name, why = (model, "as asked") if model else choose_model()
    settings = LoadSettings(model=name, **options)
    fresh = session.load(settings, progress, on_plan, replace=replace)
    about = session.require()[0].about
    return f"{name} loaded ({why}): {about}" if fresh else f"{name} is loaded already"


def unload() -> None:
    """Free the model of this process."""
    current().unload()


def generate(
    prompt: str,
    *,
    system: str | None = None,
    tools: Sequence[ToolSpec] = (),
    passages: Sequence[Passage] | None = None,
    effort: str = "medium",
    date: str | None = None,
    conversation: str | None = None,
    new: bool = False,
    cold: bool = False,
    routing: bool = False,
    mask_experts: str = "",
    force_experts: str = "",
    adapters: Sequence[str] | None = None,
    on_delta: Callable[[ChannelDelta], None] = lambda delta: None,
    on_prefill: Callable[[int, int], None] = lambda done, total: None,
    **sampling: Any,
) -> Answer:
    """Answer `prompt` with the resident model (loaded first where none is).

    `system` is the developer message's instructions. Without `conversation` nothing is remembered.
    `passages`: the sources to answer from, quoted in front of the prompt for this turn alone; the
    answer's citations are checked against them. `cold` computes the whole prompt anew (in bf16 a
    reused prefix may differ by a rounding, and with it a sampled token). `on_prefill` is told
    prompt tokens done and in total, where the prompt is long. `adapters`: names of attached ones
    that stand beside the model for this answer; None: those in use; none of them: the bare base.
    `routing`: the answer's `routing` says where each token went. `mask_experts`, `force_experts`
    (such as "3:7,5:0-3,2:*"): a probe for this answer alone, which the conversation does not keep;
    see `routing.probe.probing`.
    `sampling`: fields of `SamplingSettings`; without a seed one is drawn and recorded.
    Raises ContextOverflow, InputError, NotLoaded.
    """
    from gptoss_magic.generation import run_turn
    from gptoss_magic.retrieval.cite import cited, grounded

    session = current()
    if session.resident is None:
        load()
    resident, engine = session.require()
    settings = sampling_settings(greedy=resident.greedy, **sampling)
    kept = [] if new or conversation is None else session.conversations.get(conversation, [])
    asked = [*kept, _user(prompt)]
    system, quoting = grounded(system, passages, prompt)
    messages = [*opening(system, tools, effort, date), *kept, _user(quoting)]
    probe = {"mask": mask_experts, "force": force_experts} if mask_experts or force_experts else {}
    with session.using(adapters) as active, _probed(engine, **probe) as engine:
        answer = run_turn(
            engine,
            messages,
            settings,
            conversation=conversation or "",
            cold=cold,
            routing=routing,
            on_delta=on_delta,
            on_prefill=on_prefill,
            provenance=_provenance(resident, active.records, effort)
            | ({"probe": probe} if probe else {}),
        )
    session.last = answer = cited(answer, passages)
    if conversation is not None and not probe:
        session.conversations[conversation] = [*asked, *_kept(answer)]
    return answer


def map(  # noqa: A001 (what it does)
    frame: Any,
    template: str,
    *,
    into: str = "answer",
    names: Mapping[str, Any] | None = None,
    schema: Any = None,
    system: str | None = None,
    effort: str = "medium",
    date: str | None = None,
    batch: int = 32,
    journal: str | Path | None = None,
    new: bool = False,
    adapters: Sequence[str] | None = None,
    on_row: Callable[[int, int, int], None] = lambda done, total, tokens: None,
    **sampling: Any,
) -> Mapped:
    """Answer a Jinja `template` for each row of a pandas DataFrame, many rows at a time.

    Columns (and `names`) are the template's variables, `row["a name"]` reaches any column. The
    answers go into the column `into` as they come, what fails into `into`_error. `schema` (a JSON
    schema or a pydantic model) is shown to the model, and answers become checked JSON values. Row
    n draws with seed + n (seed 0 where none is given). What was answered is kept in `journal`, a
    folder: the same call goes on where it was stopped, unless `new`. `adapters`: see `generate`.
    Raises InputError, MissingPackage, StorageError, NotLoaded.
    """
    from gptoss_magic.mapping.run import MapSettings, run_map
    from gptoss_magic.mapping.schema import AnswerSchema
    from gptoss_magic.mapping.template import RowTemplate

    session = current()
    if session.resident is None:
        load()
    resident, engine = session.require()
    if batch < 1:
        raise InputError(f"batch {batch}: give 1 row or more")
    checked = AnswerSchema(schema) if schema is not None else None
    formats = {checked.name: checked.schema} if checked else None
    scope = {**resident.identity, "system": system, "effort": effort, "date": date}
    records = session.shelf.records(adapters)
    if records:
        scope["adapters"] = [(record["uid"], record["scale"]) for record in records]
    settings = MapSettings(
        into=into,
        opening=opening(system, (), effort, date, formats),
        sampling=sampling_settings(greedy=resident.greedy, **{"seed": 0, **_given(sampling)}),
        scope=scope,
        schema=checked,
        num_rows=batch,
        journal=Path(journal).expanduser() if journal else None,
        fresh=new,
    )
    made = RowTemplate(template, getattr(frame, "columns", ()), names or {})
    provenance = _provenance(resident, records, effort)
    with session.using(adapters):
        return run_map(engine, frame, made, settings, provenance, on_row)


def compare(
    prompts: Sequence[str],
    adapters: Sequence[str] | None = None,
    **settings: Any,
) -> Iterator[Comparison]:
    """Answer each prompt on the bare base and beside each of `adapters` (None: all attached).

    Yields prompt by prompt. Greedy unless `settings` (of `generate`) say otherwise; nothing is
    remembered. Raises InputError where there is no adapter; KeyboardInterrupt passes through.
    """
    from gptoss_magic.generation.score import log_likelihood
    from gptoss_magic.records import Comparison

    session = current()
    _, engine = session.require()
    names = session.shelf.names if adapters is None else session.shelf.chosen(adapters)
    if not names:
        raise InputError("no adapter is attached: %gptoss lora attach PATH")
    settings = {"temperature": 0.0, **settings}
    for prompt in prompts:
        answers = {}
        for name in (BASE, *names):
            answers[name] = generate(prompt, adapters=[name], **settings)
            if answers[name].finish == "interrupt":
                raise KeyboardInterrupt
        figures: dict[str, dict[str, float]] = {name: {} for name in answers}
        for under in answers:
            with session.using([under]):
                for name in answers if under == BASE else (BASE, under):
                    prompt_T = answers[name].provenance["prompt_tokens"]
                    said_T = answers[name].raw_tokens
                    figures[name][under] = log_likelihood(engine, prompt_T, said_T)
        yield Comparison(prompt, answers, figures)


def _provenance(resident: Resident, adapters: Sequence[Any], effort: str) -> dict[str, Any]:
    """What an answer is made of, besides its prompt and its sampler."""
    known = {**resident.identity, "adapters": list(adapters)}
    return {**known, "versions": versions(), "effort": effort}


def bench() -> str:
    """A Markdown table of the resident model's speed and memory here, to paste into an issue."""
    from gptoss_magic.generation.bench import measure

    session = current()
    _, engine = session.require()
    status = session.status()
    shown = ("model", "device", "experts", "memory", "context")
    rows = {name: status[name] for name in shown} | measure(engine) | versions()
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| figure | value |", "| --- | --- |", *lines])


def sampling_settings(*, greedy: bool, **given: Any) -> Any:
    """SamplingSettings of what was given; temperature as the checkpoint asks, a drawn seed."""
    from gptoss_magic.generation import SamplingSettings

    given = _given(given)
    given.setdefault("temperature", 0.0 if greedy else 1.0)
    given.setdefault("seed", secrets.randbelow(2**31))
    return SamplingSettings(**given)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def opening(
    system: str | None,
    tools: Sequence[ToolSpec],
    effort: str,
    date: str | None,
    response_formats: dict[str, Any] | None = None,
) -> list[Any]:
    """What stands before the user's text: system and developer message; without a date, today."""
    from gptoss_magic.harmony import SystemSettings, developer_message, system_message

    settings = SystemSettings(effort=effort, current_date=date or _today(), has_tools=bool(tools))
    messages = [system_message(settings)]
    if system or tools or response_formats:
        messages.append(developer_message(system or "", tools, response_formats))
    return messages


@contextmanager
def _probed(engine: Engine, mask: str = "", force: str = "") -> Iterator[Engine]:
    """The engine; with a probe, one whose caches end with it."""
    from gptoss_magic.routing.probe import parse_experts, probing

    config = engine.model.config
    size = config.num_hidden_layers, config.num_local_experts
    pairs = [parse_experts(spec, *size) for spec in (mask, force)]
    if not any(pairs):
        yield engine
        return
    with probing(engine.model, *pairs):
        yield engine.apart()


def _user(prompt: str) -> Any:
    from gptoss_magic.records import Message

    return Message("user", prompt)


def _kept(answer: Answer) -> list[Any]:
    """The messages that the next turn sees: those that have text."""
    return [message for message in answer.messages if message.content]


def _today() -> str:
    return datetime.now(UTC).astimezone().date().isoformat()


def versions() -> dict[str, str]:
    """Versions of what shapes an answer."""
    return {name: version(name) for name in ("gptoss_magic", "torch", "transformers")}
