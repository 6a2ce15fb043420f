"""A small suite in the middle of a tuning run, paired against the model before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.scores import compared, scores_of
from gptoss_magic.records import SuiteProbe
from gptoss_magic.runs.report import put_on_shelf
from gptoss_magic.session import current
from gptoss_magic.studies.asks import Setting
from gptoss_magic.studies.evaluate import plan
from gptoss_magic.vocabulary import BASE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptoss_magic.records import StepMetrics
    from gptoss_magic.records.evaluations import Attempt
    from gptoss_magic.runs.prepare import Tuning

ITEMS = 20


class SuiteWatch:
    """Asks the suite `name` (or a file, or a variable's records) every `every` steps, greedily.

    `limit` items, drawn once. Making it answers them by the bare base, which is step 0.
    Raises InputError, MissingPackage.
    """

    def __init__(
        self, name: Any, every: int, limit: int = ITEMS, names: Mapping[str, Any] | None = None
    ) -> None:
        if every < 1:
            raise InputError(f"every {every}: give 1 step or more")
        self.every, self.names = every, names or {}
        self.asked: dict[str, Any] = {"limit": limit}
        self.asked |= {"suites": name} if _is_suite(name) else {"suites": (), "data": name}
        self.base = self._answered(BASE)
        (score,) = scores_of(self.base)
        self.score = score.score

    def is_due(self, metrics: StepMetrics) -> bool:
        """Behind every so many steps, and behind the last."""
        return metrics.step % self.every == 0 or metrics.step == metrics.num_steps

    def __call__(self, tuning: Tuning) -> SuiteProbe:
        """The suite by the run's parts as they are."""
        name = f"{tuning.run.name}-now"
        arm = f"adapter:{name}"
        with TemporaryDirectory() as folder:
            put_on_shelf(tuning, name, Path(folder) / "adapter")
            try:
                now = self._answered(arm)
            finally:
                current().shelf.detach(name)
        (score,) = scores_of(now)
        (pair,) = compared([*self.base, *now], [BASE, arm])
        return SuiteProbe(
            score.score, self.score, score.cut, pair.difference, pair.low, pair.high, pair.p
        )

    def _answered(self, arm: str) -> list[Attempt]:
        """Raises KeyboardInterrupt where ■ came: half a suite says nothing."""
        with TemporaryDirectory() as journal:
            made = plan(
                arms=arm,
                setting=Setting(temperature=0.0),
                names=self.names,
                journal=journal,
                **self.asked,
            )
            made.run()
        if made.finish == "interrupt":
            raise KeyboardInterrupt
        return [replace(one, suite="suite") for one in made.attempts]


def _is_suite(name: Any) -> bool:
    from gptoss_magic.evaluation.suites import SUITES
    from gptoss_magic.studies.run_rows import NAME

    return isinstance(name, str) and name.partition(":")[0] in (*SUITES, NAME)
