"""What adapter_config.json says an adapter stands beside, held against its tensors.

As peft: what the config names and the file lacks starts as nothing, so it stays as in the base
model, and a note says so. What the file has and the config does not name would be left out by peft.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.adapters.layout import CONFIG, MOST_PATTERN, targeted
from gptoss_magic.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

NAMES_OR_NONE = ("target_parameters", "modules_to_save")
PATTERNS = ("rank_pattern", "alpha_pattern")
SHOWN = 4


def check_types(config: Mapping[str, Any]) -> None:
    """Raise CheckpointError where a field that names modules has another JSON type than peft's."""
    for name in NAMES_OR_NONE:
        if not _is_names(config.get(name, [])):
            raise CheckpointError(
                f"{CONFIG}: {name} is damaged: no list of names; get the adapter again"
            )
    for name in ("target_modules", "exclude_modules"):
        if not isinstance(config.get(name), str) and not _is_names(config.get(name, [])):
            raise CheckpointError(
                f"{CONFIG}: {name} is damaged: neither a pattern nor names; get the adapter again"
            )
    for name in PATTERNS:
        if not isinstance(config.get(name) or {}, dict):
            raise CheckpointError(
                f"{CONFIG}: {name} is damaged: no names with numbers; get the adapter again"
            )


def _is_names(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and all(isinstance(name, str) for name in value)
    )


class Targets:
    """`linears`: names of all modules that peft's target_modules can mean, the file's own names of
    split experts among them; `parameters`: of all that target_parameters can mean; `whole`: of all
    that modules_to_save can mean.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        linears: Sequence[str],
        parameters: Sequence[str],
        whole: Sequence[str],
    ) -> None:
        self.config = config
        wanted = config.get("target_modules")
        self.is_checked = wanted is None or not _is_involved(wanted)
        self.modules = [name for name in linears if self.is_checked and self._means(name)]
        asked = config.get("target_parameters") or []
        self.parameters = [name for name in parameters if targeted(asked, name)]
        saved = config.get("modules_to_save") or []
        self.whole = [name for name in whole if targeted(saved, name)]
        self.unmet = [
            target
            for target in (wanted if isinstance(wanted, list) else [])
            if not any(targeted([target], name) for name in linears)
        ]

    def _means(self, name: str) -> bool:
        """True where target_modules means the linear `name`, by peft's rules."""
        config, wanted = self.config, self.config.get("target_modules")
        if not wanted or _in(config.get("exclude_modules"), name):
            return False
        if isinstance(wanted, str) and wanted.lower() == "all-linear":
            return name != "lm_head"
        layers = config.get("layers_to_transform")
        if isinstance(wanted, list) and name not in wanted and layers not in (None, []):
            layer = re.search(r"\.(\d+)\.", name)
            chosen = layers if isinstance(layers, list) else [layers]
            if layer is None or int(layer[1]) not in chosen:
                return False
        return _in(wanted, name)

    def check_present(self, linears: Collection[str], whole: Collection[str]) -> None:
        """Raise CheckpointError where peft would leave out a linear of the file, or not load it.

        `linears` have factors in the file, `whole` are modules that have other tensors there.
        """
        lost = [name for name in self.whole if name not in whole]
        if lost:
            raise CheckpointError(
                f"{_few(lost)}: named by modules_to_save of {CONFIG}, but not in the file: it is "
                "incomplete; get the adapter again"
            )
        if self.config.get("target_modules") is None or not self.is_checked:
            return
        extra = sorted(set(linears) - set(self.modules))
        if extra:
            raise CheckpointError(
                f"{_few(extra)}: in the file, but not among target_modules of {CONFIG}, so that "
                "peft would leave it out; mend one of the two"
            )

    def notes(self, present: Collection[str]) -> list[str]:
        """What the config names and `present` (by the same names) lacks, a line each."""
        wanted = [*self.modules, *self.parameters]
        missing = [name for name in wanted if name not in present]
        notes = []
        if missing:
            notes.append(
                f"no tensors for {len(missing)} of {len(wanted)} places that {CONFIG} names "
                f"({_few(missing)}): these stay as in the base model, as in peft"
            )
        if self.unmet:
            notes.append(
                f"{CONFIG} names {_few(self.unmet)}, which this model has no linear for and the "
                "file no tensors"
            )
        if not self.is_checked:
            notes.append("target_modules is too involved a pattern to be held against the tensors")
        return notes


def _in(wanted: Any, name: str) -> bool:
    """True where names or a pattern of peft's mean the module `name`."""
    if isinstance(wanted, str):
        return bool(wanted) and not _is_involved(wanted) and bool(re.fullmatch(wanted, name))
    return targeted(wanted or [], name)


def _is_involved(wanted: Any) -> bool:
    """True for a regular expression that may run for ages, or is none."""
    if not isinstance(wanted, str):
        return False
    try:
        re.compile(wanted)
    except re.error as error:
        raise CheckpointError(f"{CONFIG}: pattern {wanted!r}: {error}; list the names") from error
    repeats = len(re.findall(r"[*+{]", wanted))
    return len(wanted) > MOST_PATTERN or repeats > 3 or bool(re.search(r"\)\s*[*+{]", wanted))


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
