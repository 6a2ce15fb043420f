"""Marks that a turn is context only: the field's names for a weight of 0."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.values import present

if TYPE_CHECKING:
    from collections.abc import Mapping

# OpenAI's weight, Axolotl's train and training, ms-swift's loss; true or 1: trained
TRAINED = (
    *("weight", "train", "training", "trainable", "train_on_turn", "loss", "loss_mask"),
    "train_mask",
)
MASKED = ("masked", "ignore")  # true: context only
DETAIL = "train_detail"  # Axolotl's spans of one answer
UNCLEAR = "mask"  # some mean what is trained, others what is not
LIKE_ONE = re.compile(r"train|loss|weight|mask|learn", re.IGNORECASE)
NAMES = (*TRAINED, *MASKED, DETAIL, UNCLEAR)
WORDS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def is_trained(message: Mapping[str, Any]) -> bool:
    """False where the message is marked as context only. Raises InputError for unclear marks."""
    marks = {name: mark(message, name) for name in (*TRAINED, *MASKED)}
    verdicts = {
        name: value != (name in MASKED) for name, value in marks.items() if value is not None
    }
    detail = _detail(message)
    if detail is not None:
        verdicts[DETAIL] = detail
    for name in message:
        if name not in NAMES and LIKE_ONE.search(name) and yes_or_no(message[name]) is False:
            raise InputError(f"{name} {message[name]!r} may mark it as not trained; write weight 0")
    if present(message.get(UNCLEAR)) is not None:
        raise InputError(f"{UNCLEAR} may mean trained or not; write weight 0 or 1")
    if len(set(verdicts.values())) > 1:
        raise InputError(f"{' and '.join(verdicts)} contradict each other; leave one")
    return next(iter(verdicts.values()), True)


def mark(message: Mapping[str, Any], name: str) -> bool | None:
    """The field as a yes or no; None where there is none. Raises InputError for anything else."""
    value = present(message.get(name))
    if value is None:
        return None
    verdict = yes_or_no(value)
    if verdict is None:
        raise InputError(f"{name} {value!r:.40}: a turn counts or not; give 0 or 1")
    return verdict


def yes_or_no(value: Any) -> bool | None:
    """0, 1, true or false, also as text; None for other values."""
    return WORDS.get(str(value).strip().casefold())


def is_on(message: Mapping[str, Any], name: str) -> bool:
    """True where the mark asks for training, or cannot be read as 'context only'."""
    return yes_or_no(present(message.get(name))) is not (name in MASKED)


def _detail(message: Mapping[str, Any]) -> bool | None:
    """What all spans say. Raises InputError where they differ: an answer counts as a whole."""
    spans = present(message.get(DETAIL))
    if spans is None:
        return None
    if not isinstance(spans, (list, tuple)) or not all(isinstance(one, dict) for one in spans):
        raise InputError(f"{DETAIL} is no list of spans; write weight 0 or 1")
    verdicts = {mark(span, "train") for span in spans} - {None}
    if len(verdicts) > 1:
        raise InputError(f"{DETAIL} trains parts of an answer; give the whole one weight 0 or 1")
    return verdicts.pop() if verdicts else None
