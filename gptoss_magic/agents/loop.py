"""The tool loop: the model calls, a tool runs if the user lets it, the model goes on.

It yields a `Step` for each call and returns the whole `Answer`. It knows neither engine nor
display: `respond` answers messages, `consent` lets a call run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.calls import arguments_of, as_text, found, result_of
from gptoss_magic.agents.limits import Budget, NoTimer, OutOfTime, bounded
from gptoss_magic.agents.tools import Tool, ToolResult
from gptoss_magic.errors import ContextOverflow, error_line, errors_in
from gptoss_magic.quoting import harmless_lines
from gptoss_magic.records import Answer, Consent, Limits, Message, Step, ToolCall, Usage
from gptoss_magic.records.messages import NATIVE_SPACES

if TYPE_CHECKING:
    from gptoss_magic.records import OpenPage
    from gptoss_magic.records.provenance import CallRecord, ToolsRecord, ToolTerms

Respond = Callable[[list[Message], Budget], Answer]

LIMIT = "not run: the limit of this run is reached; answer now with what you have"
CUT = "not run: the call was cut off before its end; make it shorter"
INTERRUPTED = "interrupted by the user"


def run(
    respond: Respond,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    consent: Consent,
    limits: Limits | None = None,
    *,
    earlier: Sequence[Step] = (),
) -> Generator[Step, None, Answer]:
    """Answer `messages` with the help of `tools`; yields each call as it is done.

    `respond(messages, budget)` is one turn of the model; it should generate at most
    `budget.tokens` and call `budget.check()` at each token. `consent(tool, arguments, note)` is
    None where the call may run, else the words of refusal; no tool runs without it. All calls get
    an answer, whatever they look like; errors of a tool go to the model. After the last allowed
    call the model has one more turn to answer. ■ ends the run and keeps what there is. `earlier`:
    the calls of the conversation before.
    """
    state = ToolRun(list(messages), tools, consent, limits or Limits(), earlier)
    try:
        while state.turn(respond):
            yield from state.calls()
    except KeyboardInterrupt:
        if not state.answers:
            raise
        state.finish = "limit" if state.budget.is_over else "interrupt"
        list(state.calls())
    return state.answer()


@dataclass
class ToolRun:
    """A run in the making. `finish` is set when it is over."""

    opening: list[Message]
    tools: Sequence[Tool]
    consent: Consent
    limits: Limits
    earlier: Sequence[Step] = ()
    said: list[Message] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    pending: list[tuple[ToolCall, Message]] = field(default_factory=list)
    finish: str = ""
    ended_by: str = ""
    is_last: bool = False

    def __post_init__(self) -> None:
        self.budget = Budget(self.limits)
        self.native = {tool.name: tool for tool in self.tools if tool.is_native}
        functions = {tool.name: tool for tool in self.tools if not tool.is_native}
        self.by_name = {**self.native, **functions}

    @property
    def is_over(self) -> bool:
        """True where the model is not asked again; `finish` says why."""
        if self.answers and self._is_spent():
            self.finish = self.finish or "limit"
        return bool(self.finish)

    @property
    def pages(self) -> list[OpenPage]:
        """What the conversation has open."""
        return [step.page for step in (*self.earlier, *self.steps) if step.page is not None]

    def turn(self, respond: Respond) -> bool:
        """One turn of the model; False where the run is over."""
        if self.is_over:
            return False
        try:
            answer = respond([*self.opening, *self.said], self.budget)
        except ContextOverflow as error:
            if not self.answers:
                raise
            self.finish, self.ended_by = "limit", str(error)
            return False
        self.answers.append(answer)
        self.said += answer.messages
        self.budget.tokens -= answer.usage.completion_tokens
        callers = [m for m in answer.messages if m.recipient not in (None, "all")]
        self.pending = list(zip(answer.tool_calls, callers, strict=True))
        if answer.finish == "interrupt":
            self.finish = "limit" if self.budget.is_over else "interrupt"
        elif not self.pending or self.is_last:
            self.finish = "limit" if self.pending else answer.finish
        return True

    def calls(self) -> Iterator[Step]:
        """Answer each call of the turn; the thought before them goes with the first."""
        answer = self.answers[-1]
        while self.pending:
            call, caller = self.pending[0]
            is_end = len(self.pending) == 1 and bool(answer.messages[-1].recipient)
            step = self._step(call, caller, is_cut=is_end and answer.finish in ("length", "stop"))
            if not any(done.turn == step.turn for done in self.steps):
                seconds = answer.usage.total_s
                step = replace(
                    step, thought=answer.analysis, said=answer.commentary, thought_s=seconds
                )
            del self.pending[0]
            self.steps.append(step)
            self.said.append(_told(step, caller))
            yield step
        self.is_last = len(self.steps) >= self.limits.calls

    def _is_spent(self) -> bool:
        return self.budget.tokens <= 0 or self.budget.seconds <= 0

    def _step(self, call: ToolCall, caller: Message, *, is_cut: bool) -> Step:
        """One call: repaired, let, run. Nothing of a tool gets out as an error."""
        unrun = self._unrun(is_cut=is_cut)
        if unrun:
            return Step(len(self.answers), call, *unrun)
        tool, note = self.native.get(caller.recipient or ""), ""
        if tool is None:
            tool, note = found(call.name, self.by_name)
        if tool is None:
            return Step(len(self.answers), call, "unknown", harmless_lines(f"not run: {note}"))
        try:
            arguments, mended = arguments_of(call, tool)
        except ValueError as error:
            text = harmless_lines(f"not run: {error}")
            return Step(len(self.answers), call, "error", text, note=note)
        note = "; ".join(filter(None, (note, mended)))
        shown = replace(call, name=tool.name, arguments=_plain(arguments))
        return self._allowed(tool, arguments, Step(len(self.answers), shown, "", "", note=note))

    def _unrun(self, *, is_cut: bool) -> tuple[str, str] | None:
        """Why the next call is not even looked at."""
        if self.finish == "interrupt":
            return "interrupt", f"not run: {INTERRUPTED}"
        if self.is_last or self.finish or len(self.steps) >= self.limits.calls or self._is_spent():
            return "limit", LIMIT
        return ("cut", CUT) if is_cut else None

    def _allowed(self, tool: Tool, arguments: dict[str, Any], step: Step) -> Step:
        began = time.monotonic()
        try:
            asked, note = tool, step.note
            if tool.asked_for is not None:
                asked, about = tool.asked_for(tool, arguments, self.pages)
                note = "; ".join(filter(None, (note, about)))
            refused = self.consent(asked, dict(step.call.arguments or {}), note)
        except KeyboardInterrupt:
            self.finish = "interrupt"
            return replace(step, outcome="interrupt", result=f"not run: {INTERRUPTED}")
        finally:
            self.budget.extend(time.monotonic() - began)
        if refused is not None:
            return replace(step, outcome="refused", result=refused)
        return self._called(tool, arguments, step)

    def _called(self, tool: Tool, arguments: dict[str, Any], step: Step) -> Step:
        began, seconds = time.monotonic(), min(self.limits.call_seconds, self.budget.seconds)
        if tool.sees_pages:
            arguments = {**arguments, "pages": tuple(self.pages)}
        if tool.sees_steps:
            arguments = {**arguments, "steps": (*self.earlier, *self.steps)}
        outcome, value = outcome_of(tool, arguments, seconds)
        if outcome == "interrupt":
            self.finish = "interrupt"
        result, cut = result_of(value, self.limits.chars)
        return replace(
            step,
            outcome=outcome,
            result=result.text,
            call_s=time.monotonic() - began,
            note="; ".join(filter(None, (step.note, cut))),
            passages=result.passages,
            plan=result.plan,
            page=result.page,
            code_run=result.code_run,
        )

    def answer(self) -> Answer:
        """The last turn's answer with all that the run said, called and was told."""
        last = self.answers[-1]
        tools: ToolsRecord = {
            "offered": dict(map(self._offered, self.tools)),
            "limits": asdict(self.limits),
            "calls": [_record(step) for step in self.steps],
        }
        if self.ended_by:
            tools["ended_by"] = self.ended_by
        return replace(
            last,
            messages=tuple(self.said),
            tool_calls=tuple(step.call for step in self.steps),
            usage=summed([answer.usage for answer in self.answers]),
            finish=self.finish,
            steps=tuple(self.steps),
            repairs=tuple(words for answer in self.answers for words in answer.repairs),
            provenance={**last.provenance, "tools": tools},
            analysis="" if last.tool_calls else last.analysis,
            commentary="" if last.tool_calls else last.commentary,
        )

    def _offered(self, tool: Tool) -> tuple[str, ToolTerms]:
        """What the record says of a tool; a function may be called as one that is native."""
        if tool.is_native or tool.name not in self.native:
            return tool.name, _terms(tool)
        return f"functions.{tool.name}", {**_terms(tool), "offer": tool.offer or tool.name}


def outcome_of(tool: Tool, arguments: dict[str, Any], seconds: float) -> tuple[str, Any]:
    """('result', value), or 'error', 'timeout' or 'interrupt' with words for the model."""
    try:
        with bounded(seconds):
            value = tool.function(**arguments)
            return "result", value if isinstance(value, ToolResult) else as_text(value)
    except OutOfTime:
        return "timeout", f"stopped: it took longer than {seconds:g} s"
    except KeyboardInterrupt:
        return "interrupt", INTERRUPTED
    except NoTimer as error:
        return "refused", f"not run: {error}"
    except BaseException as error:  # noqa: BLE001 (a tool's SystemExit must not end the kernel)
        if any(isinstance(one, KeyboardInterrupt) for one in errors_in(error)):
            return "interrupt", INTERRUPTED
        return "error", error_line(error)


def finished(steps: Generator[Step, None, Answer], on_step: Callable[[Step], None]) -> Answer:
    """Run to the end; `on_step` sees each step as it is done. ■ in `on_step` ends the run too."""
    try:
        while True:
            try:
                on_step(next(steps))
            except KeyboardInterrupt as stop:
                steps.throw(stop)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def summed(usages: Sequence[Usage]) -> Usage:
    """Tokens and times of all turns, added up; so are the waits for a turn's first token."""
    names = [each.name for each in fields(Usage)]
    return Usage(**{name: sum(getattr(usage, name) for usage in usages) for name in names})


def _told(step: Step, caller: Message) -> Message:
    """The tool's message; its author is the tool that ran, or what the model called.

    A tool that gpt-oss knows by heart answers in the channel that it was called in.
    """
    name, recipient = step.call.name, caller.recipient or ""
    if recipient in NATIVE_SPACES or name.startswith("browser."):
        channel = caller.channel or "commentary"
        return Message("tool", step.result, channel, "assistant", author=name)
    author = recipient if recipient == name else f"functions.{name}"
    return Message("tool", step.result, "commentary", "assistant", author=author)


def _terms(tool: Tool) -> ToolTerms:
    terms: ToolTerms = {"policy": tool.policy, "origin": tool.origin}
    return {**terms, "offer": tool.offer} if tool.offer else terms


def _record(step: Step) -> CallRecord:
    """What the provenance keeps of a call."""
    call = step.call
    arguments = call.raw if call.arguments is None else call.arguments
    return {"name": call.name, "arguments": arguments, "outcome": step.outcome}


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Checked arguments in JSON's types, for show."""
    from pydantic_core import to_jsonable_python

    return dict(to_jsonable_python(arguments, fallback=str))
