"""`%%gptoss_tune --every N --suite SUITE`: a small suite behind every so many steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.records import SuiteProbe
    from gptoss_magic.studies.signal_rates import SignalWatch
    from gptoss_magic.studies.tuning_probe import SuiteWatch


def watch_of(options: Namespace, names: dict[str, Any]) -> SuiteWatch | None:
    """What asks the suite, step 0 answered; None where nothing was said. Raises InputError."""
    from gptoss_magic.magics.benchmarks import data_of
    from gptoss_magic.studies.tuning_probe import ITEMS, SuiteWatch

    if options.every is None:
        return None
    asked = data_of(options.suite, names)
    limit = ITEMS if options.items is None else options.items
    watch = SuiteWatch(asked, options.every, limit, names)
    print(
        f"{options.suite}: {watch.score:.0%} right before step 1, of "
        f"{counted(len(watch.base), 'item')}"
    )
    return watch


def signal_watch(options: Namespace) -> SignalWatch | None:
    """What measures the line's signal behind the run; None without one. Raises InputError."""
    from gptoss_magic.studies.signal_rates import SignalWatch, signal_of

    return SignalWatch(*signal_of(options.signal)) if options.signal else None


def probe_text(probe: SuiteProbe) -> str:
    """One line: how it stands, against step 0."""
    words = f"suite: {probe.score:.0%} right, {probe.base:.0%} before, {probe.cut:.0%} cut"
    if probe.difference is None or probe.low is None or probe.high is None:
        return f"{words}; too many are cut to compare"
    points = [100 * share for share in (probe.difference, probe.low, probe.high)]
    return f"{words}: {points[0]:+.0f} points [{points[1]:+.0f}, {points[2]:+.0f}], p {probe.p:.3f}"
