"""`%%gptoss_data`: rows grown from a description and seeds, shown for review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics import tune_options
from gptoss_magic.magics.door import through
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from gptoss_magic.records import Term
    from gptoss_magic.tuning.data import Row
    from gptoss_magic.tuning.grow import Grown

DATA = opt.parser(
    "%%gptoss_data",
    tune_options.DATA,
    "Grow rows from the cell's description with the model.",
    ["%%gptoss_data --rows 30 -o rows\nQuestions of a beginner about knots, shortly answered."],
)
HEADERS = ("", "prompt", "reasoning", "answer")

ROWS = "rows"  # the variable for what was grown, where the line names none
OURS = "_gptoss_rows"  # the same list, to know it again


@magics_class
class DataMagics(Magics):
    """`%%gptoss_data`: the body says what the rows are about."""

    @no_var_expand
    @cell_magic("gptoss_data")
    def data(self, line: str, cell: str) -> None:
        through("%%gptoss_data", grow_rows, line, cell, self.shell.user_ns)


DataMagics.data.__doc__ = DATA.format_help()


def grow_rows(line: str, body: str, names: dict[str, Any]) -> None:
    """Grow, show every row and what was left out, and put the rows into a variable."""
    from IPython.display import display

    from gptoss_magic.studies.self_instruct import grown
    from gptoss_magic.studies.signal_rates import signal_of
    from gptoss_magic.studies.signal_rows import signal_rows
    from gptoss_magic.widgets.progress import ProgressView

    options = opt.parse(DATA, line)
    if not options.output and names.get(ROWS) is not names.get(OURS):
        raise InputError(f"the notebook has a variable {ROWS!r}: name another one by -o")
    seeds = seeds_of(options.seeds, names) if options.seeds else []
    signal = signal_of(options.signal) if options.signal else None
    terms = learned_terms(options.from_terms) if options.from_terms else ()
    with ProgressView("rows", lambda done, total: f"{done} of {total}") as bar:
        found = grown(
            body,
            seeds,
            options.rows,
            bar.update,
            temperature=options.temperature,
            seed=options.seed,
            terms=terms,
        )
        if signal:
            found = signal_rows(found, *signal, bar.update)
        bar.finish(
            f"{counted(len(found.rows), 'row')} in "
            f"{counted(found.attempts, 'attempt')}. {found.ended}".strip()
        )
    display(bundle(found), raw=True)
    names[options.output or ROWS] = names[OURS] = found.to_records()


def learned_terms(persona: str) -> tuple[Term, ...]:
    """The terms of a persona that rows are grown from, 'a+b' for a base with an overlay.

    The others are kept for its suite, and are named. Raises InputError for none.
    """
    from gptoss_magic.records.terms import split_terms
    from gptoss_magic.studies.asks import terms_of

    terms = terms_of(persona)
    if not terms:
        raise InputError(f"--from-terms {persona}: that persona has no terms: write some below it")
    learned, asked = split_terms(terms)
    if len(learned) < len(terms):
        names = ", ".join(term.name for term in asked)
        print(f"{len(learned)} of {len(terms)} terms; kept for the suite terms:{persona}: {names}")
    else:
        print(f"{len(terms)} terms, too few to keep some apart for the suite terms:{persona}")
    return learned


def seeds_of(source: str, names: dict[str, Any]) -> list[Row]:
    """The rows to begin with; how they were read is printed."""
    from gptoss_magic.tuning.sources import read

    reading = read(source, "", names)
    for line in reading.lines():
        print(f"seeds {line}")
    return reading.rows


def bundle(found: Grown) -> dict[str, str]:
    """Tables of the rows, and of what was left out by which rule."""
    from gptoss_magic.tuning.grow import RULES
    from gptoss_magic.widgets.tables import table_html, table_text

    rows = [(n, r.prompt, r.analysis, r.answer) for n, r in enumerate(found.rows)]
    lost = [(rule, RULES.get(rule, ""), text[:200]) for text, rule in found.rejected]
    heads = ("left out by", "which means", "text")
    html, text = table_html(HEADERS, rows), table_text(HEADERS, rows)
    if lost:
        html += (
            f"<details><summary>{len(lost)} left out</summary>{table_html(heads, lost)}</details>"
        )
        text += f"\n\n{len(lost)} left out\n{table_text(heads, lost)}"
    return {"text/html": html, "text/plain": text}
