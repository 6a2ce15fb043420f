"""Surgery on an answer: `%%gptoss --edit`, `%%gptoss --branch N`, `%gptoss branch [N]`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.body import expand
from gptoss_magic.magics.prompt import listener_of, named
from gptoss_magic.magics.show import left_behind, transcript
from gptoss_magic.records import Answer
from gptoss_magic.session import current
from gptoss_magic.vocabulary import SAMPLER

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

PARSER = opt.parser(
    "%gptoss branch",
    opt.BRANCH,
    "Keep an answer's first tokens and go on.",
    ["%gptoss branch 42 -t 1.2", "%gptoss branch"],
)


def run(line: str, magics: Any) -> None:
    """`%gptoss branch [N]`: no N goes on where an answer was cut off."""
    from gptoss_magic.turns.surgery import branch

    options = opt.parse(PARSER, line)
    opt.check_sampling(options)
    names = magics.shell.user_ns
    answer = chosen_answer(options.of, names)
    magics.load_default()
    shown(options, names, answer, partial(branch, answer, options.at))


def change_answer(options: Namespace, body: str, names: dict[str, Any]) -> None:
    """Run the cell: its text is the new analysis, or what follows the token of `--branch`."""
    from gptoss_magic.turns.surgery import branch, refine

    answer, text = (
        chosen_answer(options.of, names),
        expand(body, names, is_raw=options.raw).strip("\n"),
    )
    if options.edit:
        return shown(options, names, answer, partial(refine, answer, text))
    text = text if text.strip() else ""
    shown(options, names, answer, partial(branch, answer, options.branch, text=text))


def chosen_answer(name: str | None, names: dict[str, Any]) -> Answer:
    """The Answer in the variable `name`, else the last one. Raises InputError."""
    answer = named("--of", name, names) if name else current().last
    if answer is None:
        raise InputError("there is no answer yet: run a %%gptoss cell first")
    if not isinstance(answer, Answer):
        raise InputError(f"{name}: a {type(answer).__name__}, no Answer; name what -o has kept")
    return answer


def shown(
    options: Namespace,
    names: dict[str, Any],
    answer: Answer,
    change: Callable[..., Answer],
) -> None:
    """Make the change in sight; say where no conversation follows it."""
    from gptoss_magic.turns.surgery import last_turn_of
    from gptoss_magic.widgets.transcript import open_view

    turn = last_turn_of(answer)
    with open_view(current().require().identity["model"], quiet=options.quiet) as view:
        made = change(listener=listener_of(view, None), **_sampling(options))
        view.finish(transcript(made), **({} if options.quiet else left_behind(made)))
    if options.output:
        names[options.output] = made
    if turn is None and not options.quiet:
        print("no conversation ends with that answer: none is changed")


def _sampling(options: Namespace) -> dict[str, Any]:
    """What the line gives; the rest is as it was."""
    return {name: getattr(options, name) for name in SAMPLER} | {
        "stop": tuple(options.stop) if options.stop else None,
        "adapters": options.adapter,
        "cold": options.cold,
        "routing": options.routing or None,
    }
