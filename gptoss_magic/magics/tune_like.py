"""`%gptoss_tune --like 120b`: plans from the shapes of gpt-oss, on one card or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.tuning.methods import DEFAULT

if TYPE_CHECKING:
    from argparse import Namespace

CARD_GB = 80.0


def show_like(options: Namespace) -> None:
    """The table that the line asks for."""
    if options.cards:
        given = {"adam": options.adam} if options.adam else {}
        show_cards(options.like, options.cards, options.method or DEFAULT, **given)
    else:
        show_dry_run(options.like, options.card or CARD_GB)


def show_dry_run(name: str, card_gb: float) -> None:
    """Every method's plan for gpt-oss `name`, as a table."""
    from gptoss_magic.magics.index import show_table
    from gptoss_magic.tuning.dry_run import HEADERS, dry_run_rows

    caption = (
        f"gpt-oss-{name} on {card_gb:g} GB, from shapes alone; adapter to in all in GB. "
        "No weight is read, and nothing was measured on a GPU."
    )
    show_table(HEADERS, dry_run_rows(name, card_gb * 1e9), caption)


def show_cards(name: str, cards: str, method: str, **settings: Any) -> None:
    """What each card needs for gpt-oss `name`, a row for each strategy."""
    from gptoss_magic.magics.index import show_table
    from gptoss_magic.ranks.cards import HEADERS, cards_rows

    caption = (
        f"gpt-oss-{name} by {method} on {cards} GB, from shapes alone: GB on each card, for a "
        "sequence of 1,024 tokens a card and step. No weight is read; none of it was run on GPUs."
    )
    show_table(HEADERS, cards_rows(name, cards, method, **settings), caption)
