"""`%%gptoss_tune --launch N`: the same run on processes of its own, under the same panel."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics.tune_run import KEY, provenance
from gptoss_magic.session import current

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from gptoss_magic.ranks.folder import Launch
    from gptoss_magic.ranks.run import LaunchedRun
    from gptoss_magic.runs.report import Report
    from gptoss_magic.tuning.control import Control
    from gptoss_magic.tuning.plan import TunePlan
    from gptoss_magic.tuning.runs import Run
    from gptoss_magic.widgets.tuning import TuningPanel

NEEDS_LAUNCH = ("strategy", "verify", "detach", "release")
WRITES = ("slurm", "skypilot", "ray", "accelerate")
NOT_TOGETHER = {
    "background": "--detach gives the cell back, and %gptoss runs attach NAME follows",
    "every": "a suite needs the resident model between steps; ask it afterwards",
    "signal": "its rate needs the resident model; ask it afterwards",
}


def check_together(options: Namespace) -> None:
    """Raise InputError for options that mean nothing beside --launch, or without it."""
    from gptoss_magic.ranks.launch import check_launch
    from gptoss_magic.ranks.strategies import AUTO

    files = written_files(options)
    if options.launch is None:
        check_needless(options, [*NEEDS_LAUNCH, *(f"write_{kind}" for kind in files)], "--launch")
        return check_needless(options, ["nodes"], "--write-slurm and its like")
    check_launch(options.launch, options.strategy or AUTO)
    for name, why in NOT_TOGETHER.items():
        if getattr(options, name):
            raise InputError(f"--{name} and --launch: {why}")
    if not (options.go or options.resume):
        check_needless(options, ("verify", "detach", "release"), "--go or --resume")
    if not files:
        check_needless(options, ["nodes"], "--write-slurm and its like")
    if files and (options.go or options.resume):
        raise InputError("the file starts the run: leave --go and --resume out")
    if options.detach and options.release:
        raise InputError("--detach and --release: give one of them; nobody would load it again")


def check_needless(options: Namespace, names: Iterable[str], beside: str) -> None:
    """Raise InputError where one of these is said, and what it means something beside is not."""
    for name in names:
        if getattr(options, name):
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} means something beside {beside} only")


def written_files(options: Namespace) -> dict[str, str]:
    """The files that a cluster shall get, by kind."""
    said = {kind: getattr(options, f"write_{kind}") for kind in WRITES}
    return {kind: path for kind, path in said.items() if path}


def write_files(run: Run, launch: Launch, options: Namespace) -> None:
    """The run waits for a cluster, whose files are written."""
    from gptoss_magic.ranks.clusters import Job, write_job
    from gptoss_magic.ranks.folder import RanksFolder
    from gptoss_magic.ranks.launch import scheduled

    nodes = options.nodes or 1
    RanksFolder.of(run.folder).begin(scheduled(launch, nodes))
    on_gpus = launch.device == "cuda"
    job = Job(run.name, run.folder.resolve(), nodes, launch.num_ranks, on_gpus)
    for line in write_job(job, written_files(options)):
        print(line)
    print(f"%gptoss runs attach {run.name} follows the run, before it begins too")


def planned(run: Run, plan: TunePlan, options: Namespace) -> Launch:
    """How the run is launched, said by its `plan`. Raises InputError, DoesNotFit."""
    from gptoss_magic.ranks.choice import chosen
    from gptoss_magic.ranks.launch import launch_of
    from gptoss_magic.ranks.plan import require_room
    from gptoss_magic.ranks.strategies import AUTO

    resident, strategy = current().require_local(), options.strategy or AUTO
    launch = launch_of(resident, run.method.name, options.launch, strategy, detached=options.detach)
    choice = chosen(plan, launch, released=options.release)
    print("\n".join(choice.lines()))
    if options.go or options.resume:
        require_room(choice.plan)
    return choice.launch


def run_launched(run: Run, launch: Launch, options: Namespace, names: dict[str, Any]) -> None:
    """Start the ranks and follow them to the report, or with --detach leave them alone."""
    from gptoss_magic.ranks.release import released
    from gptoss_magic.ranks.run import begun

    if options.detach:
        begun(run, launch)
        print(f"{run.name} runs by itself: %gptoss runs attach {run.name} follows it")
        return
    room = released() if options.release else nullcontext()
    _under_panel(run, launch, lambda: begun(run, launch), options, names, room=room)


def follow_run(launched: LaunchedRun, options: Namespace, names: dict[str, Any]) -> None:
    """A run that goes on, or is over, under a panel of this notebook; then its report."""
    run, launch = launched.run, launched.launch
    _under_panel(run, launch, lambda: launched, options, names, room=nullcontext())


def _under_panel(
    run: Run,
    launch: Launch,
    begin: Callable[[], LaunchedRun],
    options: Namespace,
    names: dict[str, Any],
    *,
    room: AbstractContextManager[None],
) -> None:
    """Follow what `begin` gives within `room`, then report. ■ keeps what was done."""
    from gptoss_magic.tuning.control import Control

    control = Control()
    try:
        with _panel(run, launch, control, options) as panel:
            with room:
                launched = begin()
                _follow(launched, control, panel)
            report = _reported(launched, control, panel)
    except KeyboardInterrupt:
        print(_left_line(run, launch))
        return
    if report is None:
        print(_left_line(run, launch))
    elif options.output:
        names[options.output] = report


def _panel(run: Run, launch: Launch, control: Control, options: Namespace) -> TuningPanel:
    from gptoss_magic.widgets.tuning import TuningPanel

    facts = [("method", run.method.name), ("rows", str(run.about.get("rows", "-")))]
    facts.append(("processes", f"{launch.num_ranks} ({launch.strategy})"))
    return TuningPanel(
        control,
        run.name,
        run.about.get("steps", 0),
        run.train.learning_rate,
        facts,
        num_ranks=launch.num_ranks,
        quiet=options.quiet,
    )


def _follow(launched: LaunchedRun, control: Control, panel: TuningPanel) -> None:
    """Every step until the ranks are gone. Whatever ends this ends them, if they are ours."""
    from gptoss_magic.magics.lab import show_step
    from gptoss_magic.ranks.follow import earlier_steps
    from gptoss_magic.ranks.run import followed

    history = earlier_steps(launched.run)
    for metrics in history:
        panel.step(metrics)
    panel.note("" if history else "starting the processes")
    try:
        with followed(launched, control):
            for metrics in launched.steps(control):
                panel.note("")
                panel.step(metrics)
                history.append(metrics)
                show_step(launched.run, history)
    except BaseException:
        if launched.launch.owner is not None:
            panel.note("ending the processes; their state is kept")
            launched.interrupt()
        raise


def _reported(launched: LaunchedRun, control: Control, panel: TuningPanel) -> Report | None:
    """The report of a run that came to its end or was stopped; None where it was interrupted."""
    from gptoss_magic.magics.report import report_html, report_text
    from gptoss_magic.ranks.run import taken_over
    from gptoss_magic.ranks.verify import told
    from gptoss_magic.runs.report import finish

    tuning = taken_over(launched)
    verdict = told(tuning.run.folder, launched.folder, launched.launch.num_ranks)
    if verdict:
        print(verdict)
    if tuning.run.finish == "interrupt":
        return None
    if tuning.run.finish == "stopped":
        panel.note("stopped: writing the adapter")
    with current().training_by(tuning.run.name, control):
        report = finish(tuning, lambda done, total, note: panel.note(f"{note} {done} of {total}"))
    launch = launched.launch
    how = {"ranks": {"processes": launch.num_ranks, "strategy": launch.strategy}}
    panel.finish(report_html(report), report_text(report), {KEY: provenance(tuning) | how})
    return report


def _left_line(run: Run, launch: Launch) -> str:
    """How to go on with a run that is not at its end."""
    from gptoss_magic.ranks.folder import RanksFolder

    if RanksFolder.of(run.folder).goes_on():
        return (
            f"{run.name} goes on: %gptoss runs attach {run.name} follows it, and "
            f"%gptoss runs stop {run.name} ends it"
        )
    return (
        f"interrupted: %gptoss_tune --resume {run.name} goes on from the last step, "
        f"alone or with --launch {launch.num_ranks}"
    )
