"""An answer as plain JSON, for a renderer that shows more of it than HTML can."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gptoss_magic.session import current
from gptoss_magic.turns.record import record_of
from gptoss_magic.turns.surgery import tokens

if TYPE_CHECKING:
    from gptoss_magic.records import Answer

VERSION = 1
PLACES = 3  # of a log-probability, in nats


def answer_json(answer: Answer, note: str = "") -> dict[str, Any]:
    """What `application/vnd.gptoss.answer+json` holds: texts, steps, sources, tokens, record.

    `tokens` are those of the last call of the model: `texts` one a token, `channels` as runs of
    [channel, count], `logprobs` in nats for the last so many of them.
    """
    turn_id = answer.provenance["turn"]["id"] if "turn" in answer.provenance else ""
    turn = current().conversations.get(turn_id)
    return {
        "version": VERSION,
        "model": answer.provenance["model"],
        "prompt": turn.asked.content if turn else "",
        "finish": answer.finish,
        "note": note,
        "analysis": answer.analysis,
        "commentary": answer.commentary,
        "final": answer.final,
        "usage": asdict(answer.usage),
        "tool_calls": [{"name": call.name, "arguments": call.raw} for call in answer.tool_calls],
        "steps": [_step(step) for step in answer.steps],
        "passages": [asdict(passage) for passage in answer.passages],
        "citations": [asdict(citation) for citation in answer.citations],
        "repairs": list(answer.repairs),
        "tokens": _tokens(answer),
        "record": record_of(answer),
    }


def _step(step: Any) -> dict[str, Any]:
    names = ("turn", "outcome", "result", "thought", "said", "thought_s", "call_s", "note")
    call = {"name": step.call.name, "arguments": step.call.raw}
    run = step.code_run
    shown = {"figures": run.figures, "frames": list(map(asdict, run.frames))} if run else {}
    return call | {name: getattr(step, name) for name in names} | shown


def _tokens(answer: Answer) -> dict[str, Any]:
    said = tokens(answer)
    runs = groupby(token.channel for token in said)
    return {
        "texts": [token.text for token in said],
        "channels": [[channel, len(list(run))] for channel, run in runs],
        "logprobs": [round(value, PLACES) for value in answer.logprobs] or None,
    }
