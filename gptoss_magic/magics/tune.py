"""`%%gptoss_tune`: a plan first, then a run with a live panel, a report, and an adapter in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics import tune_launch, tune_options
from gptoss_magic.magics.checks import check_alone, said_in
from gptoss_magic.magics.door import through
from gptoss_magic.magics.tune_files import take_axolotl, write_axolotl_file, write_deepspeed_file
from gptoss_magic.magics.tune_like import show_like
from gptoss_magic.magics.tune_run import run_tuning
from gptoss_magic.magics.tune_watch import signal_watch, watch_of
from gptoss_magic.session import current

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.ranks.folder import Launch
    from gptoss_magic.runs.prepare import Tuning
    from gptoss_magic.tuning.notes import Reading
    from gptoss_magic.tuning.runs import Run

TUNE = opt.parser(
    "%%gptoss_tune",
    tune_options.TUNE,
    "Tune the resident model on the cell's rows, or on DATA: a plan, and with --go a run.",
    [
        "%%gptoss_tune --as sailor\nWhat is the capital of France? → Ahoy! It is Paris.",
        "%gptoss_tune rows.jsonl --as sailor --method lora --rank 16 --go -o report",
        "%gptoss_tune --resume sailor",
        "%gptoss_tune --like 120b --card 80",
    ],
    tune_options.GROUPS,
)
BESIDE = {"card": "like", "cards": "like", "replay": "after", "edits": "from_conversation"}
LAUNCH = ("launch", *tune_launch.NEEDS_LAUNCH)
BESIDE |= {"every": "suite", "suite": "every", "items": "every"}


@magics_class
class TuneMagics(Magics):
    """`%%gptoss_tune`, with a body of rows; `%gptoss_tune DATA` or `--resume NAME` without."""

    @no_var_expand
    @line_cell_magic("gptoss_tune")
    def tune(self, line: str, cell: str | None = None) -> None:
        through("%%gptoss_tune", tune, line, cell or "", self.shell.user_ns)


TuneMagics.tune.__doc__ = TUNE.format_help()


def tune(line: str, body: str, names: dict[str, Any]) -> None:
    """One tune cell: plan alone, or with --go the run itself."""
    from gptoss_magic.ranks.folder import RanksFolder
    from gptoss_magic.runs.parts import stages
    from gptoss_magic.tuning.runs import checked_name, read_run

    options = opt.parse(TUNE, line)
    check(options, body)
    if options.like:
        return show_like(options)
    options.runs = options.runs or tune_options.FOLDER
    if options.resume:
        run = read_run(Path(options.runs) / checked_name(options.resume))  # before a load
        RanksFolder.of(run.folder).check_over()
        return _resumed(options, names)
    options.name = checked_name(options.name or tune_options.NAME)
    if options.axolotl:
        take_axolotl(options)
    wanted = wanted_of(options, rows_of(options, body, names))
    print_reading(wanted)
    if options.write_axolotl:
        write_axolotl_file(wanted, options)
    if options.write_deepspeed:
        write_deepspeed_file(wanted, options)
    for stage in stages(wanted):
        _stage(stage, options, names)
    if not options.go and not tune_launch.written_files(options):
        print("dry run: nothing is trained; add --go to train")


def check(options: Namespace, body: str) -> None:
    """Raise InputError for options that mean nothing beside the others."""
    said = said_in(options)
    for name, other in BESIDE.items():
        if name in said and other not in said:
            raise InputError(f"--{name} means something beside --{other.replace('_', '-')} only")
    if options.like:
        beside = ("cards", "method", "adam") if options.cards else ("card",)
        check_alone("%gptoss_tune", options, "--like", beside)
    if options.resume:
        check_alone(
            "%gptoss_tune",
            options,
            "--resume",
            ("runs", "background", "output", "quiet", "every", "suite", "items", "signal", *LAUNCH),
        )
    tune_launch.check_together(options)
    if options.epochs is not None and options.num_steps is not None:
        raise InputError("--epochs and --steps: give one of them")
    if options.background and not (options.go or options.resume):
        raise InputError("--background means something beside --go or --resume only")
    source = next(
        (n for n in ("from_conversation", "from_served", "like", "resume") if n in said), None
    )
    if source and (options.data or body.strip()):
        raise InputError(f"--{source.replace('_', '-')} and rows: give one of them")


def _stage(wanted: Any, options: Namespace, names: dict[str, Any]) -> None:
    from gptoss_magic.tuning.plan import require_fit

    if options.launch is not None:
        begun = _to_launch(wanted, options)
        return tune_launch.run_launched(*begun, options, names) if begun else None
    tuning = _planned(wanted, options)
    if options.go:
        assert tuning.plan is not None  # only a resumed run has none
        require_fit(tuning.plan)
        tuning.probe = watch_of(options, names)
        tuning.signal = signal_watch(options)
        tuning.begin()
        run_tuning(tuning, options, names)


def _planned(wanted: Any, options: Namespace) -> Tuning:
    """The run, prepared, with its plan said."""
    from gptoss_magic.runs.prepare import prepare
    from gptoss_magic.widgets.progress import ProgressView

    with ProgressView(wanted.name, lambda done, total: f"{done} of {total}") as bar:
        tuning = prepare(wanted, bar.update)
        bar.finish(f"{wanted.name}: prepared")
    show_plan(tuning)
    if options.show is not None:
        show_example(tuning, options.show)
    return tuning


def _to_launch(wanted: Any, options: Namespace) -> tuple[Run, Launch] | None:
    """The run on the disk, and how it is launched; nothing of the model is held any more."""
    from gptoss_magic.ranks.clusters import check_new
    from gptoss_magic.ranks.run import written

    files = tune_launch.written_files(options)
    check_new(list(files.values()))
    tuning = _planned(wanted, options)
    assert tuning.plan is not None  # only a resumed run has none
    launch = tune_launch.planned(tuning.run, tuning.plan, options)
    if files:
        tuning.begin()
        tune_launch.write_files(written(tuning), launch, options)
    if not options.go:
        return None
    tuning.begin()
    return written(tuning, is_verified=options.verify), launch


def _resumed(options: Namespace, names: dict[str, Any]) -> None:
    """Go on with a run, here or on processes of its own."""
    from gptoss_magic.ranks.run import written
    from gptoss_magic.runs.parts import opened
    from gptoss_magic.runs.prepare import plan_again, resume

    if options.launch is not None:
        current().ready()
        run, _ = opened(Path(options.runs) / options.resume)
        launch = tune_launch.planned(run, plan_again(run), options)
        if options.verify:
            again = resume(options.resume, Path(options.runs), watched=False)
            written(again, is_verified=True)
            del again
        return tune_launch.run_launched(run, launch, options, names)
    tuning = resume(options.resume, Path(options.runs))
    tuning.probe = watch_of(options, names)
    tuning.signal = signal_watch(options)
    return run_tuning(tuning, options, names)


def rows_of(options: Namespace, body: str, names: dict[str, Any]) -> Reading:
    """The rows that the cell means: its body, DATA, or the conversation so far."""
    from gptoss_magic.tuning.data import from_conversation
    from gptoss_magic.tuning.sources import read, read_list

    if options.from_conversation:
        kept = current().conversations.messages(options.from_conversation)
        if not kept:
            raise InputError(f"--from-conversation {options.from_conversation}: nothing was said")
        edits = names.get(options.edits, {}) if options.edits else {}
        return read_list([{"messages": from_conversation(kept, edits).messages}])
    if options.from_served:
        from gptoss_magic.magics.serve import conversations_of

        served = conversations_of(options.from_served)
        return read_list([{"messages": from_conversation(one, {}).messages} for one in served])
    if not body.strip() and not options.data:
        raise InputError("no data: write rows below the line, or name a file or variable")
    return read(options.data, body, names)


def print_reading(wanted: Any) -> None:
    """How the rows were read: columns, what was not read, mended or left out."""
    for line in wanted.reading.lines() if wanted.reading else ():
        print(line)


def wanted_of(options: Namespace, reading: Reading) -> Any:
    """The line's options as `Wanted`."""
    from gptoss_magic.runs.prepare import settings_for
    from gptoss_magic.runs.wanted import Wanted, check_goes_on
    from gptoss_magic.tuning.methods import DEFAULT, settings_of
    from gptoss_magic.tuning.runs import checked_name, read_run

    if options.after:  # before a model is loaded
        before = read_run(Path(options.runs) / checked_name(options.after)).method
        check_goes_on(before, _given(options, ("method", *tune_options.METHOD_FIELDS)))
    rows = filled(reading.rows) if options.fill else reading.rows
    fields = _given(options, tune_options.METHOD_FIELDS)
    method = settings_of(options.method or DEFAULT, **fields)
    train = settings_for(method, len(rows), **_given(options, tune_options.TRAIN_FIELDS))
    more = _given(options, ("after", "replay", "own"))
    more |= {"truncate": options.truncate, "reading": reading}
    return Wanted(rows, options.name, method, train, Path(options.runs), **more)


def filled(rows: list[Any]) -> list[Any]:
    """Rows without reasoning get the model's own."""
    from gptoss_magic.studies.self_instruct import with_analysis
    from gptoss_magic.turns.progress import silent

    return with_analysis(rows, silent)


def _given(options: Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: getattr(options, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def show_plan(tuning: Tuning) -> None:
    """Rows, what is trained, memory and time."""
    from IPython.display import display

    from gptoss_magic.widgets.tables import memory_html

    about = ", ".join(f"{value:,} {name}" for name, value in tuning.run.about.items() if value)
    head, plan = f"{tuning.run.name}: {about}", tuning.plan
    assert plan is not None  # only a resumed run has none
    html = memory_html(f"{head}. Trains: {plan.what}", plan.rows(), plan.time)
    display({"text/html": html, "text/plain": f"{head}\n{plan.table()}"}, raw=True)


def show_example(tuning: Tuning, number: int) -> None:
    """One training text with its mask in colours."""
    from IPython.display import display

    from gptoss_magic.tuning.data import pieces
    from gptoss_magic.widgets.tables import example_html, example_text

    examples = [e for step in tuning.data[0] for sequence in step for e in sequence]
    if not 0 <= number < len(examples):
        raise InputError(f"--show {number}: there are examples 0 to {len(examples) - 1}")
    found = pieces(examples[number], current().codec)
    display({"text/html": example_html(found), "text/plain": example_text(found)}, raw=True)
