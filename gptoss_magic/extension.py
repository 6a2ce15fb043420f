"""Composition root: registers the magics and completion in one shell."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext gptoss_magic`: loads no model and no heavy package."""
    from gptoss_magic.magics import recipe, routing
    from gptoss_magic.magics.complete import gptoss_matcher
    from gptoss_magic.magics.data import DataMagics
    from gptoss_magic.magics.depth import DepthMagics
    from gptoss_magic.magics.goals import GoalMagics
    from gptoss_magic.magics.gptoss import GptOssMagics
    from gptoss_magic.magics.lab import open_link
    from gptoss_magic.magics.persona import PersonaMagics
    from gptoss_magic.magics.show import (
        answer_html,
        answer_text,
        provenance_html,
        provenance_text,
    )
    from gptoss_magic.magics.tune import TuneMagics
    from gptoss_magic.magics.typed import listen
    from gptoss_magic.model.imports import sleep_at_barriers
    from gptoss_magic.records import Answer
    from gptoss_magic.records.provenance import ShownProvenance

    sleep_at_barriers()
    formatters = shell.display_formatter.formatters
    formatters["text/html"].for_type(Answer, answer_html)
    formatters["text/plain"].for_type(Answer, answer_text)
    formatters["text/html"].for_type(ShownProvenance, provenance_html)
    formatters["text/plain"].for_type(ShownProvenance, provenance_text)
    for module, name, html, text in (
        ("routing.scores", "Scores", routing.scores_html, routing.scores_text),
        ("routing.compare", "RoutingComparison", routing.comparison_html, routing.comparison_text),
        ("tuning.recipe", "Recipe", recipe.recipe_html, recipe.recipe_text),
    ):
        formatters["text/html"].for_type_by_name(f"gptoss_magic.{module}", name, html)
        formatters["text/plain"].for_type_by_name(f"gptoss_magic.{module}", name, text)
    shell.register_magics(
        GptOssMagics(shell=shell),
        TuneMagics(shell=shell),
        DataMagics(shell=shell),
        DepthMagics(shell=shell),
        PersonaMagics(shell=shell),
        GoalMagics(shell=shell),
    )
    matchers = shell.Completer.custom_matchers
    if gptoss_matcher not in matchers:
        matchers.append(gptoss_matcher)
    listen(shell)
    open_link()


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away; a loaded model stays until `%gptoss unload` or the kernel's end."""
    from gptoss_magic.magics.complete import gptoss_matcher
    from gptoss_magic.magics.lab import close_link
    from gptoss_magic.magics.panel import unbind
    from gptoss_magic.magics.typed import leave

    close_link()
    leave(shell)
    unbind(shell.magics_manager.registry["GptOssMagics"])
    for kind in ("line", "cell"):
        for name in ("", "_tune", "_data", "_persona", "_depth", "_goal"):
            shell.magics_manager.magics[kind].pop(f"gptoss{name}", None)
    shell.Completer.custom_matchers[:] = [
        matcher for matcher in shell.Completer.custom_matchers if matcher is not gptoss_matcher
    ]
