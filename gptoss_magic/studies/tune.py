"""`tune`: the whole of a tuning run in one call, for scripts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.runs.parts import stages
from gptoss_magic.runs.prepare import prepare, settings_for
from gptoss_magic.runs.report import finish
from gptoss_magic.runs.wanted import FOLDER, Wanted, check_goes_on
from gptoss_magic.session import current
from gptoss_magic.studies.tuning_probe import ITEMS, SuiteWatch
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.methods import DEFAULT, options, settings_of
from gptoss_magic.tuning.plan import require_fit
from gptoss_magic.tuning.runs import checked_name, read_run
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.sources import read
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    every: int | None = None,
    suite: Any = None,
    items: int = ITEMS,
    names: Mapping[str, Any] | None = None,
    on_step: Callable[[StepMetrics], None] = lambda metrics: None,
    **settings: Any,
) -> Report:
    """Tune the resident model (loaded first where none is) on rows; the adapter is in use then.

    `data`: records as of `%%gptoss_tune` (prompt and answer, messages, alpaca, ShareGPT), a file's
    path, or a DataFrame; a warning names what of it was not read, mended or left out. `settings`:
    the method's options, fields of `TrainSettings`, and `after`, `replay`, `own`, `truncate` of
    `Wanted`; what is not given is chosen for the model. The run lies in `folder`.
    Behind `every` so many steps, and behind the last, so many `items` of a `suite` (a name of
    `evaluate`, a file, or dicts, whose checkers are in `names`) are asked, and paired with the bare
    base: `StepMetrics.probe` has it. Raises InputError, DoesNotFit, StorageError, MissingPackage;
    KeyboardInterrupt keeps the steps.
    """
    if (every is None) != (suite is None):
        raise InputError("every and suite go together: give both, or none")
    if every is not None and every < 1:
        raise InputError(f"every {every}: give 1 step or more")
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
    watch = None if every is None else _Watch(suite, every, items, names)
    for stage in stages(wanted):
        report = _trained(stage, on_step, watch)
    return report


@dataclass
class _Watch:
    """What a `SuiteWatch` is made of, once, when the first stage is known to fit."""

    suite: Any
    every: int
    items: int
    names: Mapping[str, Any] | None
    made: SuiteWatch | None = None

    def ready(self) -> SuiteWatch:
        """With step 0 answered."""
        if self.made is None:
            self.made = SuiteWatch(self.suite, self.every, self.items, self.names)
        return self.made


def _trained(
    wanted: Wanted, on_step: Callable[[StepMetrics], None], watch: _Watch | None
) -> Report:
    tuning, control = prepare(wanted), Control()
    assert tuning.plan is not None  # only a resumed run has none
    require_fit(tuning.plan)
    tuning.probe = watch.ready() if watch else None
    tuning.begin()
    with current().training_by(wanted.name, control):
        for metrics in tuning.steps(control):
            on_step(metrics)
        return finish(tuning)


def _some(settings: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: settings[name] for name in names if name in settings}
