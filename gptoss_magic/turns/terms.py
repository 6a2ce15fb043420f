"""The terms of a voice that bear on what is asked: quoted in front of it, and on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.agents.term_search import bearing, within
from gptoss_magic.session import current
from gptoss_magic.vocabulary import TERM_TOKENS

if TYPE_CHECKING:
    from gptoss_magic.records import Request
    from gptoss_magic.records.provenance import TermsRecord

SHARE = 8  # at most one token in so many of the context


def terms_text(request: Request) -> str:
    """What quotes the terms that the question names, as many as the budget holds; '' for none."""
    return _chosen(request)[1]


def terms_record(request: Request) -> TermsRecord | None:
    """What was quoted, by name, and what bears on the question and had no room; None for none."""
    quoted, _, left_out = _chosen(request)
    return {"quoted": quoted, "left_out": left_out} if quoted or left_out else None


def question_of(request: Request) -> str:
    """The user's last text."""
    told = [one.content for one in request.messages if one.role == "user"]
    return request.prompt or (told[-1] if told else "")


def _chosen(request: Request) -> tuple[list[str], str, list[str]]:
    """(names that are quoted, their text, names that had no room)."""
    terms = request.voice.terms
    named = bearing(terms, question_of(request)) if terms else []
    if not named:
        return [], "", []
    session = current()
    budget = min(TERM_TOKENS, session.engine.context // SHARE)
    kept, text = within(named, terms, lambda words: len(session.codec.encode(words)), budget)
    return [one.name for one in kept], text, [one.name for one in named if one not in kept]
