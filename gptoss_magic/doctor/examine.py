"""All looks at the machine in their order, and what they came to as lines or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gptoss_magic.doctor import machine, packages, places
from gptoss_magic.doctor.finding import Finding
from gptoss_magic.errors import error_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Look = Callable[[], Iterator[Finding]]

LOOKS: tuple[Look, ...] = (
    packages.python,
    packages.core,
    machine.processor,
    machine.memory,
    machine.compiler,
    machine.kernels,
    machine.gpu,
    machine.confinement,
    places.built_in,
    places.disk,
    packages.extras,
    packages.lab_extension,
    packages.subshells,
)
WIDTH = 8  # of a state, so that names stand below each other


def examine(looks: Sequence[Look] = LOOKS) -> list[Finding]:
    """Each look's findings. A look that fails is a finding itself: the others go on."""
    found: list[Finding] = []
    for look in looks:
        try:
            found += look()
        except Exception as error:  # noqa: BLE001 (a broken package may raise anything)
            found.append(Finding(look.__name__.replace("_", " "), "fails", error_line(error)))
    return found


def works(found: Sequence[Finding]) -> bool:
    """True where a model can be loaded and asked here."""
    return not any(finding.state == "fails" for finding in found)


def as_text(found: Sequence[Finding]) -> str:
    """A line a finding, with what to do below it; how it stands as a whole at the end."""
    width = max(len(finding.name) for finding in found) + 2
    lines = []
    for one in found:
        lines.append(f"{one.state:<{WIDTH}}{one.name:<{width}}{one.words}".rstrip())
        if one.remedy:
            lines.append(f"{'':<{WIDTH + width}}-> {one.remedy}")
    num_missing = sum(one.state == "missing" for one in found)
    verdict = "a model can be loaded and asked here" if works(found) else "mend what fails first"
    return "\n".join([*lines, "", f"{verdict}; {num_missing} of {len(found)} are missing"])


def as_json(found: Sequence[Finding]) -> str:
    """{"gptoss_magic": version, "works": …, "findings": […]} for an issue or a script."""
    from gptoss_magic import __version__

    known: dict[str, Any] = {"gptoss_magic": __version__, "works": works(found)}
    return json.dumps(known | {"findings": [asdict(one) for one in found]}, indent=2)
