"""`tune`: the whole of a tuning run in one call, for scripts."""

from __future__ import annotations

import warnings
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.public import public
from gptoss_magic.runs.parts import stages
from gptoss_magic.runs.prepare import prepare, settings_for
from gptoss_magic.runs.report import finish
from gptoss_magic.runs.wanted import FOLDER, Wanted, check_goes_on
from gptoss_magic.session import current
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.methods import DEFAULT, options, settings_of
from gptoss_magic.tuning.plan import require_fit
from gptoss_magic.tuning.runs import checked_name, read_run
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.sources import read
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.records import StepMetrics
    from gptoss_magic.runs.report import Report

METHOD = tuple(option.name for option in options())
TRAIN = tuple(field.name for field in fields(TrainSettings))
RUN = ("after", "replay", "own", "truncate")


@public
def tune(
    data: Any,
    *,
    name: str = "tuned",
    method: str = DEFAULT,
    folder: str | Path = FOLDER,
    on_step: Callable[[StepMetrics], None] = lambda metrics: None,
    **settings: Any,
) -> Report:
    """Tune the resident model (loaded first where none is) on rows; the adapter is in use then.

    `data`: records as of `%%gptoss_tune` (prompt and answer, messages, alpaca, ShareGPT), a file's
    path, or a DataFrame; a warning names what of it was not read, mended or left out. `settings`:
    the method's options, fields of `TrainSettings`, and `after`, `replay`, `own`, `truncate` of
    `Wanted`; what is not given is chosen for the model. The run lies in `folder`. Raises
    InputError, DoesNotFit, StorageError; KeyboardInterrupt keeps the steps.
    """
    check_known("setting", settings, (*METHOD, *TRAIN, *RUN, "method", "name", "folder"))
    if settings.get("after"):
        before = read_run(Path(folder) / checked_name(settings["after"])).method
        check_goes_on(before, _some(settings, METHOD))
    chosen = settings_of(method, **_some(settings, METHOD))
    reading = read(str(data) if isinstance(data, Path) else "data", "", {"data": data})
    for remark in reading.remarks():
        warnings.warn(remark, stacklevel=2)
    train = settings_for(chosen, len(reading.rows), **_some(settings, TRAIN))
    more = _some(settings, RUN) | {"reading": reading}
    wanted = Wanted(reading.rows, name, chosen, train, Path(folder), **more)
    for stage in stages(wanted):
        report = _trained(stage, on_step)
    return report


def _trained(wanted: Wanted, on_step: Callable[[StepMetrics], None]) -> Report:
    tuning, control = prepare(wanted), Control()
    assert tuning.plan is not None  # only a resumed run has none
    require_fit(tuning.plan)
    tuning.begin()
    with current().training_by(wanted.name, control):
        for metrics in tuning.steps(control):
            on_step(metrics)
        return finish(tuning)


def _some(settings: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: settings[name] for name in names if name in settings}
