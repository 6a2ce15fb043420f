"""The calls of a run as static HTML and text: thought, call, result, thought, … with times."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from gptoss_magic.widgets.code_shown import shown_html, shown_text
from gptoss_magic.widgets.styles import GROUND, MUTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Step

OUTCOMES = {
    "result": "",
    "error": "error",
    "unknown": "no such tool",
    "refused": "refused, not run",
    "timeout": "stopped: out of time",
    "interrupt": "interrupted",
    "cut": "cut off, not run",
    "limit": "not run: the run's limit",
}
WARNING = "color: var(--jp-error-color1, #d03c3c)"
INNER = (
    "border-left: 3px solid var(--jp-border-color1, #8888); margin: 4px 0 8px 4px; "
    "padding-left: 12px"
)
BOX = (
    f"background: {GROUND}; border-radius: 4px; padding: 6px 10px; margin: 4px 0; "
    "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; "
    "max-height: 24em; overflow-y: auto; "
    "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px)"
)
MAX_LINE = 72


def steps_html(steps: Sequence[Step]) -> str:
    """A foldable entry for each call; the plan, where one was kept, open below them."""
    entries = "".join(_entry(number, step) for number, step in enumerate(steps, 1))
    plan = plan_of(steps)
    shown = f'{_label("Plan")}<pre dir="auto" style="{BOX}">{escape(plan)}</pre>' if plan else ""
    return f'<div class="gptoss-steps" style="margin-bottom: 8px">{entries}{shown}</div>'


def steps_text(steps: Sequence[Step]) -> str:
    """The same in lines of text, nothing folded."""
    blocks = [_block(number, step) for number, step in enumerate(steps, 1)]
    plan = plan_of(steps)
    return "\n".join([*blocks, *([f"Plan:\n{_indented(plan)}"] if plan else [])])


def plan_of(steps: Sequence[Step]) -> str:
    """The plan as the last call of the run left it."""
    return next((step.plan for step in reversed(steps) if step.plan), "")


def step_line(step: Step) -> str:
    """`get_weather(city="Oslo") · 0.12 s`, in one line; the outcome where it is no result."""
    words = [_called(step), f"{step.call_s:.2f} s" if step.call_s else "", OUTCOMES[step.outcome]]
    return " · ".join(filter(None, words))


def call_text(step: Step) -> str:
    """The arguments as they were used: texts of several lines as they stand."""
    given = step.call.arguments
    if given is None:
        return step.call.raw
    return "\n".join(f"{name} = {_value(value)}" for name, value in given.items())


def _entry(number: int, step: Step) -> str:
    style = "cursor: pointer; overflow-wrap: anywhere"
    failed = f' style="{WARNING}"' if OUTCOMES[step.outcome] else ""
    inner = [
        _label(f"Thought · {step.thought_s:.1f} s") + _prose(step.thought) if step.thought else "",
        _prose(step.said) if step.said else "",
        _label(f"Call · {step.call.name}"),
        f'<pre style="{BOX}">{escape(call_text(step) or "without arguments")}</pre>',
        _label(f"Result · {step.call_s:.2f} s"),
        f'<pre dir="auto" style="{BOX}">{escape(step.result)}</pre>',
        _label(step.note) if step.note else "",
        *(shown_html(step.code_run) if step.code_run else ()),
    ]
    return (
        f'<details class="gptoss-step"><summary style="{style}"><span{failed}>'
        f"{number}. {escape(step_line(step))}</span></summary>"
        f'<div style="{INNER}">{"".join(inner)}</div></details>'
    )


def _block(number: int, step: Step) -> str:
    lines = [f"{number}. {step_line(step)}"]
    lines += [f"   thought: {line}" for line in step.thought.strip().splitlines()]
    lines += [f"   said: {line}" for line in step.said.strip().splitlines()]
    lines += [f"   -> {line}" for line in step.result.splitlines()]
    lines += [f"   {line}" for line in shown_text(step.code_run)] if step.code_run else []
    return "\n".join([*lines, f"   ({step.note})"] if step.note else lines)


def _called(step: Step) -> str:
    given = step.call.arguments
    inner = (
        step.call.raw if given is None else ", ".join(f"{k}={_short(v)}" for k, v in given.items())
    )
    inner = " ".join(inner.split())
    inner = inner if len(inner) <= MAX_LINE else f"{inner[:MAX_LINE]}…"
    return f"{step.call.name}({inner})"


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _value(value: Any) -> str:
    return f"\n{value}" if isinstance(value, str) and "\n" in value else _short(value)


def _label(text: str) -> str:
    return f'<div style="{MUTED}">{escape(text)}</div>'


def _prose(text: str) -> str:
    body = escape(text.strip()).replace("\n", "<br>")
    return f'<div dir="auto" style="overflow-wrap: anywhere; margin-bottom: 4px">{body}</div>'


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
