"""Items whose verdict differs between two arms: a details element each, both answers side by side.

The reasoning begins where the two part; what both begin with is grey.
"""

from __future__ import annotations

from html import escape
from itertools import takewhile
from typing import TYPE_CHECKING

from gptoss_magic.widgets.code_blocks import BOX
from gptoss_magic.widgets.styles import MUTED, PALE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records.evaluations import Attempt, RoutingParting

    Flip = tuple[Attempt, Attempt]

WRAPPED = BOX.replace("white-space: pre;", "white-space: pre-wrap; overflow-wrap: anywhere;")
GRID = "display: grid; grid-template-columns: repeat(auto-fit, minmax(min(240px, 100%), 1fr))"
MOST = 40  # flips that are shown
LONGEST = 4000  # characters of one text
BEFORE = 200  # of what both begin with


def parting(texts: tuple[str, str]) -> int:
    """Where two texts part: the beginning of the word that differs."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
    if same == max(map(len, texts)):
        return same
    while same and not texts[0][same - 1].isspace():
        same -= 1
    return same


def flips_html(flips: Sequence[Flip]) -> str:
    """Lost answers first; nothing for none."""
    if not flips:
        return ""
    more = len(flips) - MOST
    rest = f'<div style="{MUTED}">… {more} more: .flips()</div>' if more > 0 else ""
    shown = "".join(_details(*flip) for flip in flips[:MOST])
    return f'<div class="gptoss-flips" style="margin-top: 8px">{shown}{rest}</div>'


def flips_text(flips: Sequence[Flip]) -> str:
    """A line for each."""
    lines = [f"  {_title(*flip)}" for flip in flips[:MOST]]
    more = [f"  … {len(flips) - MOST} more"] if len(flips) > MOST else []
    return "\n".join(["Flips:", *lines, *more]) if flips else ""


def flip_html(flip: Flip, parting: RoutingParting) -> str:
    """One flip, open, with where its routing parts."""
    words = escape(routing_words(*flip, parting))
    shown = _details(*flip).replace("<details>", "<details open>", 1)
    return f'<div class="gptoss-flips" style="margin-top: 8px">{shown}<div>{words}</div></div>'


def flip_text(flip: Flip, parting: RoutingParting) -> str:
    """The same in two lines."""
    return f"{_title(*flip)}\n{routing_words(*flip, parting)}"


def routing_words(before: Attempt, after: Attempt, parting: RoutingParting) -> str:
    """Where the routing parts, in a sentence. Of a private item no token is shown."""
    again = "" if parting.is_repeated else " Asked again, an answer was not as it was recorded."
    if parting.token is None:
        same = f"the same way through all layers for {parting.num_same:,} tokens"
        return f"Both are routed {same}; then their tokens part, or end.{again}"
    where = "prompt" if parting.is_prompt else "answer"
    text = "" if before.private else f" {parting.text!r}"
    sides = (
        f"{one.arm} to experts {', '.join(map(str, experts))}"
        for one, experts in ((before, parting.before), (after, parting.after))
    )
    return (
        f"The routing parts at token {parting.token:,} of the {where}{text}, layer "
        f"{parting.layer}: {'; '.join(sides)}.{again}"
    )


def _title(before: Attempt, after: Attempt) -> str:
    attempt = f", try {before.number + 1}" if before.number else ""
    what = f"{before.suite} {before.item}{attempt}: {before.verdict} → {after.verdict}"
    return f"{what} ({before.arm} → {after.arm})"


def _details(before: Attempt, after: Attempt) -> str:
    title = f"<summary>{escape(_title(before, after))}</summary>"
    if before.private:
        return f'<details>{title}<div style="{MUTED}">a private item: not shown</div></details>'
    expected = f" · wanted: {before.expected}" if before.expected else ""
    at = parting((before.analysis, after.analysis))
    sides = "".join(_side(one, at) for one in (before, after))
    return (
        f'<details>{title}<div dir="auto" style="{WRAPPED}">{escape(_short(before.prompt))}</div>'
        f'<div style="{MUTED}">{escape(_parts(before, after, at) + expected)}</div>'
        f'<div style="{GRID}; gap: 8px 20px">{sides}</div></details>'
    )


def _parts(before: Attempt, after: Attempt, at: int) -> str:
    if before.analysis == after.analysis:
        return "The reasoning is the same" if before.analysis else "No reasoning"
    return f"The reasoning parts at character {at:,}"


def _side(one: Attempt, at: int) -> str:
    start = max(0, at - BEFORE)
    same = ("…" if start else "") + one.analysis[start:at]
    note = f"{one.verdict}, {one.num_tokens:,} tokens" + (f": {one.note}" if one.note else "")
    return (
        f'<div style="min-width: 0"><strong>{escape(one.arm)}</strong> '
        f'<span style="{MUTED}">{escape(note)}</span><div dir="auto" style="{WRAPPED}">'
        f'<span style="{PALE}">{escape(same)}</span>{escape(_short(one.analysis[at:]))}</div>'
        f'<div dir="auto" style="{WRAPPED}">{escape(_short(one.final))}</div></div>'
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
