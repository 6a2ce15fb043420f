"""`%gptoss reflect`: the last answer criticised; a better one proposed, for the user to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.consent import confirm
from gptoss_magic.magics.show import transcript
from gptoss_magic.session import current

if TYPE_CHECKING:
    from gptoss_magic.records import Turn
    from gptoss_magic.turns.reflect import Reflection

OPTIONS: list[opt.Option] = [
    (("-y", "--accept"), {"action": "store_true", "help": "take the proposal, unasked"}),
    (("-N", "--keep"), {"action": "store_true", "help": "keep the answer, unasked"}),
]
PARSER = opt.parser(
    "%gptoss reflect",
    OPTIONS,
    "Let the model criticise and mend its last answer.",
    ["%gptoss reflect", "%gptoss reflect --accept"],
)
NOBODY = (
    "reflect: nobody can be asked here, so the answer stays; %gptoss reflect --accept takes the "
    "proposal"
)


def run(line: str, magics: Any) -> None:
    """Criticise and propose, show both answers, and take the proposal where the user says so.

    `--accept` behind a reflection that still stands takes that one.
    """
    from gptoss_magic.turns.reflect import accept, last_turn

    options = opt.parse(PARSER, line)
    if options.accept and options.keep:
        raise InputError("reflect: give --accept or --keep")
    session = current()
    found = session.proposal
    if not (options.accept and found is not None and found.is_current):
        turn = last_turn()
        magics.load_default()
        found = session.proposal = reflected(turn)
    if options.keep or not (options.accept or agreed(magics.shell)):
        print("the answer stays")
        return
    memory = accept(found).provenance.get("memory")
    session.proposal = None
    failed = f"; not remembered: {memory['failed']}" if memory and "failed" in memory else ""
    print(f"the proposal stands in the conversation {found.turn.conversation}{failed}")


def words(_typed: list[str]) -> list[str]:
    return opt.flags(OPTIONS)


def reflected(turn: Turn) -> Reflection:
    """A reflection on the last answer, shown."""
    from IPython.display import display

    from gptoss_magic.turns.reflect import reflect
    from gptoss_magic.widgets.tables import side_by_side_html, side_by_side_text

    found = reflect(turn)
    answers = {"answer": transcript(found.turn.answer), "proposal": transcript(found.proposal)}
    figures = {"proposal": {"criticism:": found.criticism or "none"}}
    given = (found.turn.asked.content, answers, figures)
    data = {"text/html": side_by_side_html(*given), "text/plain": side_by_side_text(*given)}
    display(data, raw=True)
    return found


def agreed(shell: Any) -> bool:
    """The user's y/n. Raises InputError where nobody can be asked."""
    reply = confirm(shell, "Take the proposal in place of the answer?")
    if reply is None:
        raise InputError(NOBODY)
    return reply
