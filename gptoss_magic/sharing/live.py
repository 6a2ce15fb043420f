"""The tools of a recorded run, called again, and what they say otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.harmony.parse import parsed
from gptoss_magic.quoting import one_line
from gptoss_magic.records import Answer, Limits, Usage
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.records import Consent, Step
    from gptoss_magic.sharing.records import RecordedAnswer, RecordedCall

    ToolNamed = Callable[[str], Sequence[Any]]

SPEAKERS = ("system", "developer", "user", "assistant")
SHOWN = 80  # characters of a result
NOTHING = Usage(0, 0, 0, 0.0, 0.0, 0.0)


def changed_results(
    answer: RecordedAnswer, tool_named: ToolNamed, consent: Consent
) -> tuple[str, ...]:
    """A line for each call of a run whose tool answers otherwise here, or cannot be called.

    The model's calls are those of the record; `consent` is asked for each, as in a prompt.
    """
    from gptoss_magic.agents.loop import finished, run
    from gptoss_magic.agents.tools import as_tool

    tools, missing = [], []
    for name in _offered(answer):
        try:
            tools += [as_tool(tool) for tool in tool_named(name)]
        except InputError as error:
            missing.append(f"tool {name}: not here ({error})")
    steps: list[Step] = []
    said = iter(answer.calls)
    last = answer.calls[-1]
    finished(
        run(lambda messages, budget: _said(next(said, last)), (), tools, consent, Limits()),
        steps.append,
    )
    before = len(_results(answer.calls[0]))
    return (*missing, *_changed(steps, _results(last)[before:]))


def _offered(answer: RecordedAnswer) -> list[str]:
    """What `--tool` called them, each once: three tools may have been offered by one name."""
    offered = answer.about.get("tools", {}).get("offered", {})
    if not isinstance(offered, dict):
        return []
    terms = ((name, told if isinstance(told, dict) else {}) for name, told in offered.items())
    return list(dict.fromkeys(str(told.get("offer") or name) for name, told in terms))


def _said(call: RecordedCall) -> Answer:
    """A recorded call of the model as the tool loop wants it."""
    parser = parsed(call.answer_ids, current().codec)
    return Answer(
        final=parser.final,
        analysis=parser.analysis,
        commentary=parser.commentary,
        tool_calls=parser.tool_calls,
        messages=parser.messages,
        usage=NOTHING,
        finish=call.finish,
        raw_tokens=call.answer_ids,
        provenance={},
    )


def _results(call: RecordedCall) -> list[str]:
    """The tools' results that the model read before a call."""
    drafts = parsed(call.prompt_ids, current().codec).drafts
    return [draft.content for draft in drafts if draft.header.role not in SPEAKERS]


def _changed(steps: Sequence[Step], recorded: Sequence[str]) -> list[str]:
    lines = []
    for step, result in zip(steps, recorded, strict=False):
        if step.result != result:
            then, here = (one_line(text, SHOWN) for text in (result, step.result))
            lines.append(f"tool {step.call.name}: «{then}» then, «{here}» here")
    return lines
