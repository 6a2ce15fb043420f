"""`%gptoss lora …`: attach, detach, use, scale, list, compare and export adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.prompt import traits_of
from gptoss_magic.magics.show import transcript
from gptoss_magic.session import current
from gptoss_magic.vocabulary import EFFORTS, counted

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from gptoss_magic.records import AdapterComparison

OPTIONS: dict[str, list[opt.Option]] = {
    "attach": [
        (("path",), {"help": "a directory that peft, or export, wrote"}),
        (("-n", "--as"), {"dest": "name", "default": "", "help": "its name; else the directory's"}),
        (("-s", "--scale"), {"type": float, "default": 1.0, "help": "1: as trained"}),
    ],
    "detach": [(("name",), {"help": "an attached adapter"})],
    "use": [(("names",), {"nargs": "+", "help": "what prompts use by default; none: the base"})],
    "scale": [
        (("name",), {"help": "an attached adapter"}),
        (("scale",), {"type": float, "help": "1: as trained"}),
    ],
    "list": [],
    "compare": [
        (
            ("prompts",),
            {"nargs": "+", "metavar": "PROMPT", "help": "its words; quotes keep spaces"},
        ),
        (("-a", "--adapter"), {"action": "append", "help": "these only; else all attached"}),
        (("-t", "--temperature"), {"type": float, "default": 0.0, "help": "0 is greedy"}),
        (("-m", "--max-tokens"), {"type": int, "help": "at most so many new tokens"}),
        (("-e", "--effort"), {"choices": EFFORTS, "help": "reasoning effort"}),
        (("-s", "--seed"), {"type": int, "default": 0, "help": "for a temperature above 0"}),
    ],
    "export": [
        (("name",), {"help": "an attached adapter"}),
        (("path",), {"help": "a new directory"}),
        (("-M", "--merged"), {"action": "store_true", "help": "the whole model, merged, 16 bits"}),
        (("-X", "--mxfp4"), {"action": "store_true", "help": "refused; says why"}),
    ],
}
ABOUT = {
    "attach": "Read an adapter and keep it beside the model; prompts use it once told to.",
    "detach": "Forget an attached adapter.",
    "use": "Choose the adapters that prompts use where they do not say --adapter.",
    "scale": "Let an adapter count more or less than it was trained to; 1 is as trained.",
    "list": "The attached adapters.",
    "compare": "Answer the same prompts on the bare base and beside each adapter.",
    "export": "Write an attached adapter as peft's directory, or the merged model.",
}
EXAMPLES = {
    "attach": [
        "%gptoss lora attach gptoss_runs/tuned/adapter",
        "%gptoss lora attach ./poet --as verse",
    ],
    "detach": ["%gptoss lora detach verse"],
    "use": ["%gptoss lora use verse", "%gptoss lora use none"],
    "scale": ["%gptoss lora scale verse 0.5"],
    "list": ["%gptoss lora list"],
    "compare": [
        "%gptoss lora compare What is 4+9?",
        "%gptoss lora compare Tell a story. -a verse -t 0.8",
    ],
    "export": ["%gptoss lora export verse ./verse", "%gptoss lora export verse ./whole --merged"],
}
PARSERS = {
    name: opt.parser(f"%gptoss lora {name}", options, ABOUT[name], EXAMPLES[name])
    for name, options in OPTIONS.items()
}
NAMED = ("detach", "use", "scale", "export")
HEADERS = ("adapter", "in use", "scale", "what", "content", "from")


def run(line: str, magics: Any) -> None:
    """One `%gptoss lora` line; `magics` have the defaults as traits."""
    if not line.strip():
        print(opt.overview("%gptoss lora", PARSERS))
        return
    command, options = opt.command("%gptoss lora", PARSERS, line)
    commands: dict[str, Callable[[Namespace, Any], None]] = {
        "attach": attach,
        "detach": detach,
        "use": use,
        "scale": scale,
        "list": show_list,
        "compare": compare,
        "export": export,
    }
    current().check_idle()
    commands[command](options, magics)


def words(typed: list[str]) -> list[str]:
    """Commands; behind one, names of adapters and options."""
    if len(typed) == 1:
        return list(OPTIONS)
    flags = opt.flags(OPTIONS.get(typed[0], []))
    if typed[-2] in ("-a", "--adapter"):
        return [*adapters(), "none"]
    more = ["none"] if typed[0] == "use" else []
    return [*flags, *(adapters() if typed[0] in NAMED else []), *more]


def adapters() -> list[str]:
    """Names of the attached ones."""
    session = current()
    return list(session.shelf.names) if session.loaded else []


def attach(options: Namespace, magics: Any) -> None:
    magics.load_default()
    attached = current().shelf.attach(options.path, options.name, options.scale)
    name = attached.adapter.name
    print(f"{attached}\nprompts use it by `%gptoss lora use {name}` or `%%gptoss --adapter {name}`")


def detach(options: Namespace, _defaults: Any) -> None:
    current().shelf.detach(options.name)
    print(f"{options.name} detached; attached: {current().shelf.status()}")


def use(options: Namespace, _defaults: Any) -> None:
    shelf = current().shelf
    shelf.use(options.names)
    print(f"prompts use {' + '.join(shelf.default) or 'the bare base'}")


def scale(options: Namespace, _defaults: Any) -> None:
    current().shelf.rescale(options.name, options.scale)
    print(f"{options.name} counts {options.scale:g} times as trained")


def show_list(_options: Namespace, _defaults: Any) -> None:
    from gptoss_magic.widgets.tables import table_html, table_text

    shelf = current().shelf
    if current().remote:
        print(shelf.status())
        return
    rows = [
        (
            name,
            "yes" if name in shelf.default else "",
            f"{held.scale:g}",
            held.adapter.describe(),
            held.adapter.uid,
            held.adapter.path,
        )
        for name, held in shelf.held.items()
    ]
    if not rows:
        print("no adapter is attached: %gptoss lora attach PATH")
        return
    _show(table_html(HEADERS, rows), table_text(HEADERS, rows))


def compare(options: Namespace, magics: Any) -> None:
    from gptoss_magic.turns import compare as compared
    from gptoss_magic.widgets.tables import side_by_side_html, side_by_side_text

    settings = {
        **traits_of(magics),
        "temperature": options.temperature,
        "seed": options.seed,
        "routing": None,
        "ready": magics.load_default,
    }
    given = {"max_tokens": options.max_tokens, "effort": options.effort}
    settings |= {name: value for name, value in given.items() if value is not None}
    prompt = " ".join(options.prompts)
    for found in compared([prompt], options.adapter, **settings):
        answers = {name: transcript(answer) for name, answer in found.answers.items()}
        shown = (found.prompt, answers, figures(found))
        _show(side_by_side_html(*shown), side_by_side_text(*shown))


def figures(found: AdapterComparison) -> dict[str, dict[str, str]]:
    """By answer: its mean log-likelihood under the base and under adapters."""
    return {
        name: {f"nats/token under {under}": f"{value:.3f}" for under, value in unders.items()}
        for name, unders in found.likelihoods.items()
    }


def export(options: Namespace, _defaults: Any) -> None:
    from gptoss_magic.widgets.progress import ProgressView

    session = current()
    resident, shelf = session.require_local(), session.shelf
    if options.mxfp4:
        raise InputError(shelf.no_mxfp4)
    if not options.merged:
        path = shelf.export(options.name, options.path, resident.identity["model"])
        print(f"{options.name} written to {path}: peft's format, as trained (scale 1)")
        return
    with ProgressView(f"{options.name}, merged", layers_text) as bar:
        names, tokenizer = [options.name], resident.tokenizer
        path = shelf.export_merged(names, tokenizer, options.path, bar.update)
        bar.finish(f"the model with {options.name} merged is in {path}")


def layers_text(done: int, total: int) -> str:
    """`3 of 25 files`."""
    return f"{done} of {counted(total, 'file')}"


def _show(html: str, text: str) -> None:
    from IPython.display import display

    display({"text/html": html, "text/plain": text}, raw=True)
