"""`%gptoss depth`: a study shown again, and one of its rungs made the notebook's voice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.tune_options import FOLDER as RUNS_FOLDER
from gptoss_magic.magics.tune_options import RUNS
from gptoss_magic.session import current
from gptoss_magic.vocabulary import PASSAGES, counted

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.records.depth import Depth
    from gptoss_magic.studies.depth.pick import PickedRung

SHOW: list[opt.Option] = [
    (("name",), {"nargs": "?", "metavar": "NAME", "help": "a study; the newest"}),
    (("-o", "--output"), {"help": "put the Depth into this variable"}),
]
PICK: list[opt.Option] = [
    (("rung",), {"metavar": "RUNG", "help": "its key, such as persona, hot-r8, both"}),
    (("-s", "--study"), {"metavar": "NAME", "help": "a study; the newest"}),
    (("-n", "--as"), {"dest": "persona", "metavar": "PERSONA", "help": "its name; STUDY-RUNG"}),
    (("-f", "--force"), {"action": "store_true", "help": "in the place of one of that name"}),
    RUNS,
]
PARSER = opt.parser(
    "%gptoss depth",
    SHOW,
    "What a depth study came to; list; pick RUNG.",
    ["%gptoss depth", "%gptoss depth radio -o study"],
)
PARSERS = {
    "list": opt.parser("%gptoss depth list", [], "The studies here.", ["%gptoss depth list"]),
    "pick": opt.parser(
        "%gptoss depth pick",
        PICK,
        "Make a rung the notebook's voice.",
        ["%gptoss depth pick system --study radio --as operator"],
    ),
}
HEADERS = ("study", "rungs", "held out", "best gain", "ended")


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss depth`."""
    command, _, rest = line.strip().partition(" ")
    if command == "pick":
        return pick(opt.parse(PARSERS[command], rest), magics)
    if command == "list":
        opt.parse(PARSERS[command], rest)
        return show_list()
    from gptoss_magic.studies.depth.folder import chosen_study, depth_of

    given = opt.parse(PARSER, line)
    depth = depth_of(chosen_study(given.name))
    show(depth)
    if given.output:
        magics.shell.user_ns[given.output] = depth
    return None


def words(typed: list[str]) -> list[str]:
    """Studies; behind pick the rungs of the newest."""
    from gptoss_magic.studies.depth.folder import all_studies
    from gptoss_magic.studies.depth.journal import read_study

    studies = all_studies()
    if typed[:1] != ["pick"] or len(typed) == 1:
        return ["pick", "list", *(folder.name for folder in studies), *opt.flags(SHOW)]
    if typed[-2] in ("-s", "--study"):
        return [folder.name for folder in studies]
    keys = [rung.key for rung in read_study(studies[-1]).plan.rungs] if studies else []
    return [*keys, *opt.flags(PICK)]


def show(depth: Depth) -> None:
    """Picture, sentences, claims, figures, and what was dropped and why, in one display."""
    from IPython.display import display

    from gptoss_magic.sharing.notebooks import KEY
    from gptoss_magic.studies.depth.report import concluded
    from gptoss_magic.widgets.depth import depth_html, depth_text

    whole = depth if depth.conclusions else concluded(depth)
    data = {"text/html": depth_html(whole), "text/plain": depth_text(whole)}
    about = {"study": depth.plan.task, **depth.provenance}
    display(data, raw=True, metadata={KEY: {"depth": about}})


def show_list() -> None:
    """A study a row."""
    from gptoss_magic.magics.index import show_table
    from gptoss_magic.studies.depth.folder import all_studies, depth_of

    rows = [_row(depth_of(folder)) for folder in all_studies()]
    if not rows:
        print("no depth study yet: %%gptoss_depth NAME --go")
        return
    show_table(HEADERS, rows)


def _row(depth: Depth) -> tuple[Any, ...]:
    gains = [(one.gain.value, one.rung.key) for one in depth.results if one.gain is not None]
    best = f"{max(gains)[1]} {100 * max(gains)[0]:+.0f} points" if gains else ""
    done = f"{len(depth.results)} of {len(depth.plan.rungs)}"
    ended = "whole" if depth.finish == "return" else "stopped: resume it"
    return Path(depth.folder).name, done, depth.plan.num_held_out, best, ended


def pick(given: Namespace, magics: Any) -> None:
    """Attach what the rung trained, write its persona, and use it."""
    from gptoss_magic.agents.persona_file import render_persona
    from gptoss_magic.atomic import whole_file
    from gptoss_magic.studies.depth.folder import chosen_study
    from gptoss_magic.studies.depth.pick import pick as picked_of

    folder = chosen_study(given.study)
    name = given.persona or f"{folder.name}-{given.rung}"
    picked = picked_of(folder, given.rung, name)
    file = Path(f"{name}.md")
    check_free(name, file, is_forced=given.force)
    if picked.run:
        magics.load_default()
    with whole_file(file) as fresh:
        fresh.write_text(render_persona(picked.persona), "utf-8")
        if picked.run:  # where it cannot be attached, nothing is written
            attach(picked, Path(given.runs or RUNS_FOLDER))
    current().personas[name] = picked.persona
    current().persona = (name,)
    print("\n".join(said(picked, file)))


def check_free(name: str, file: Path, *, is_forced: bool) -> None:
    """Raise InputError for a persona or a file that would be lost."""
    taken = f"persona {name}" if name in current().personas else ""
    taken = taken or (f"{file}" if file.exists() else "")
    if taken and not is_forced:
        raise InputError(f"{taken}: is there already; --as gives another name, --force replaces it")


def attach(picked: PickedRung, runs: Path) -> None:
    """Attach the run's adapter where it is not. Raises InputError, where it is another model's."""
    from gptoss_magic.studies.depth.study import check_model
    from gptoss_magic.studies.depth.trained import attach_again

    check_model(picked.model, "the study was made")
    attach_again(picked.run, runs)


def said(picked: PickedRung, file: Path) -> list[str]:
    """What answers now, and from what."""
    persona = picked.persona
    parts = [
        f"{len(persona.instructions):,} characters of text" if persona.instructions else "",
        f"adapter {picked.run}" if picked.run else "",
        f"{counted(persona.passages or PASSAGES, 'passage')} of {persona.rag}"
        if persona.rag
        else "",
        f"tools {', '.join(persona.tools)}" if persona.tools else "",
    ]
    line = f"persona {persona.name} in use: {', '.join(filter(None, parts))}; written to {file}"
    return [line, *picked.remarks]
