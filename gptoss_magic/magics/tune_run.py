"""A tuning run under its live panel, in the cell or behind it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from gptoss_magic.magics.door import in_background
from gptoss_magic.magics.tune_watch import probe_text
from gptoss_magic.session import current

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from gptoss_magic.runs.prepare import Tuning

KEY = "gptoss_magic"


def run_tuning(tuning: Tuning, options: Namespace, names: dict[str, Any]) -> None:
    """The run and its report; with --background in a thread of its own."""
    from gptoss_magic.tuning.control import Control
    from gptoss_magic.widgets.tuning import TuningPanel

    control, train = Control(), tuning.run.train
    facts = [("method", tuning.run.method.name), ("rows", str(tuning.run.about.get("rows", "-")))]
    how = f"{tuning.run.name} (resumed)" if options.resume else tuning.run.name
    panel = TuningPanel(
        control, how, tuning.trainer.num_steps, train.learning_rate, facts, quiet=options.quiet
    )
    if options.background:
        return _train_behind(tuning, control, panel, (names, options.output))
    try:
        _train(tuning, control, panel, (names, options.output))
    except KeyboardInterrupt:
        print(f"interrupted: %gptoss_tune --resume {tuning.run.name} goes on from the last step")


def _train_behind(tuning: Tuning, *rest: Any) -> None:
    """`_train` in a thread of its own; the next cell finds that it has the model."""
    current().check_idle()
    has_begun = threading.Event()
    thread = in_background(tuning.run.name, _train, tuning, *rest, has_begun.set)
    while thread.is_alive() and not has_begun.wait(0.1):
        pass


def _train(
    tuning: Tuning,
    control: Any,
    panel: Any,
    result: tuple[dict[str, Any], str | None],
    on_begin: Callable[[], None] = lambda: None,
) -> None:
    """The run under its panel. ■ keeps what was done and says how to go on.

    `result`: the notebook's names, and the one that gets the report.
    """
    from gptoss_magic.magics.lab import show_step
    from gptoss_magic.magics.report import report_html, report_text
    from gptoss_magic.runs.report import finish

    with current().training_by(tuning.run.name, control), panel:
        on_begin()
        for metrics in tuning.trainer.progress.history:
            panel.step(metrics)
        steps = tuning.steps(control)
        try:
            for metrics in steps:
                panel.step(metrics)
                if metrics.probe is not None:
                    panel.note(probe_text(metrics.probe))
                show_step(tuning.run, tuning.trainer.progress.history)
        finally:
            steps.close()
        if tuning.run.finish == "stopped":
            panel.note("stopped: writing the adapter")
        report = finish(tuning, lambda done, total, note: panel.note(f"{note} {done} of {total}"))
        panel.finish(report_html(report), report_text(report), {KEY: provenance(tuning)})
    names, output = result
    if output:
        names[output] = report


def provenance(tuning: Tuning) -> dict[str, Any]:
    """What is needed to repeat the run."""
    from gptoss_magic.turns import versions

    run = tuning.run
    return {
        "run": run.name,
        "model": run.model,
        "method": run.method.record(),
        "train": run.train.record(),
        "data": run.about,
        "versions": versions(),
    }
