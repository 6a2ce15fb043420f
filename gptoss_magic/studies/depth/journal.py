"""A study on the disk, so that it can be killed and gone on with.

FOLDER/NAME/study.json      the body, both sides of the split, the setting, the plan, the model
FOLDER/NAME/answers/        every answer, by what was asked
FOLDER/NAME/rungs/KEY.json  a rung that is done, whole; or why it could not be done
FOLDER/NAME/personas/       the persona that was written; rows: the index of the learned rows
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import whole_file, whole_folder
from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.records import Message
from gptoss_magic.records.depth import DepthGuard, DepthPlan, Dropped, Rung
from gptoss_magic.records.evaluations import Attempt
from gptoss_magic.studies.depth.body import KEYS
from gptoss_magic.studies.depth.general import TextFigures
from gptoss_magic.studies.depth.plan import StudySetting
from gptoss_magic.studies.depth.split import HeldRow, Split
from gptoss_magic.tuning.data import Row
from gptoss_magic.tuning.runs import checked_name

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER, RECORD, RUNGS = "gptoss_depth", "study.json", "rungs"
FORMAT = 1


@dataclass(frozen=True)
class RungRecord:
    """What was measured on a rung: all of it, so that no figure needs the model again.

    `prompt_tokens`: of each attempt. `why`: it could not be done, and has nothing else.
    """

    rung: Rung
    attempts: tuple[Attempt, ...] = ()
    prompt_tokens: tuple[int, ...] = ()
    texts: TextFigures = field(default_factory=TextFigures)
    drift: float | None = None
    trained: int = 0
    size: int = 0
    seconds: float = 0.0
    run: str = ""
    persona: str = ""
    why: str = ""


@dataclass(frozen=True)
class StudyRecord:
    """What a study was begun with. `body`: its values but for the rows; functions by name."""

    name: str
    body: dict[str, Any]
    guards: dict[str, int | None]
    split: Split
    setting: StudySetting
    plan: DepthPlan
    model: dict[str, Any]


def folder_of(name: str, folder: str | Path = FOLDER) -> Path:
    """Where a study lies. Raises InputError for a name that cannot be one."""
    return Path(folder).expanduser() / checked_name(name)


def new_study(folder: Path, record: StudyRecord) -> None:
    """Make the study's folder. Raises InputError where it is taken, StorageError."""
    if folder.exists():
        raise InputError(
            f"{folder}: there is such a study; --resume {folder.name} goes on, or give another name"
        )
    with whole_folder(folder) as fresh:
        whole = {"format": FORMAT, **asdict(record)}
        text = json.dumps(whole, ensure_ascii=False, default=list)  # sets as lists
        (fresh / RECORD).write_text(text, "utf-8")


def read_study(folder: Path) -> StudyRecord:
    """What lies in the folder. Raises InputError where nothing does, CheckpointError."""
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder}: no study lies there; begin it with --go")
    try:
        said = json.loads((folder / RECORD).read_text("utf-8"))
        return _study(said)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise CheckpointError(
            f"{folder / RECORD}: damaged ({error}); delete the study and begin it again"
        ) from error


def keep_rung(folder: Path, record: RungRecord) -> None:
    """Keep a rung that is done. Raises StorageError."""
    (folder / RUNGS).mkdir(exist_ok=True)
    with whole_file(folder / RUNGS / f"{record.rung.key}.json") as fresh:
        fresh.write_text(json.dumps(asdict(record), ensure_ascii=False), "utf-8")


def kept_rung(folder: Path, key: str) -> RungRecord | None:
    """A rung that is done; None where it is not. Raises CheckpointError."""
    file = folder / RUNGS / f"{key}.json"
    if not file.is_file():
        return None
    try:
        return _rung_record(json.loads(file.read_text("utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise CheckpointError(
            f"{file}: damaged ({error}); delete it, and it is run again"
        ) from error


def plain_body(said: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a body as JSON has them: functions by name, the rows left out."""
    names = {key: said[key] for key in KEYS if key not in ("rows", "guards")}
    checker = names["checker"]
    names["checker"] = checker if isinstance(checker, str) else getattr(checker, "__name__", "")
    names["tools"] = [tool if isinstance(tool, str) else tool.name for tool in names["tools"]]
    return names


def _known(kind: Any, said: dict[str, Any]) -> dict[str, Any]:
    """What a dataclass has a field for: a later version may write more."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in said.items() if name in names}


def _study(said: dict[str, Any]) -> StudyRecord:
    split = said["split"]
    held = tuple(HeldRow(_row(one["row"]), tuple(one["answers"])) for one in split["held"])
    return StudyRecord(
        name=said["name"],
        body=said["body"],
        guards=said["guards"],
        split=Split(tuple(map(_row, split["train"])), held, tuple(split["notes"])),
        setting=_setting(said["setting"]),
        plan=_plan(said["plan"]),
        model=said["model"],
    )


def _setting(said: dict[str, Any]) -> StudySetting:
    return StudySetting(**{**_known(StudySetting, said), "steps": tuple(said["steps"])})


def _plan(said: dict[str, Any]) -> DepthPlan:
    return DepthPlan(
        **{
            **_known(DepthPlan, said),
            "rungs": tuple(map(_rung, said["rungs"])),
            "dropped": tuple(Dropped(_rung(one["rung"]), one["why"]) for one in said["dropped"]),
            "guards": tuple(DepthGuard(**_known(DepthGuard, one)) for one in said["guards"]),
            "notes": tuple(said["notes"]),
        }
    )


def _rung(said: dict[str, Any]) -> Rung:
    return Rung(**{**_known(Rung, said), "parts": tuple(said["parts"])})


def _rung_record(said: dict[str, Any]) -> RungRecord:
    texts = TextFigures(
        **{name: tuple(values) for name, values in _known(TextFigures, said["texts"]).items()}
    )
    attempts = tuple(Attempt(**_known(Attempt, one)) for one in said["attempts"])
    read = {"rung": _rung(said["rung"]), "attempts": attempts, "texts": texts}
    said = _known(RungRecord, said)
    return RungRecord(**{**said, **read, "prompt_tokens": tuple(said["prompt_tokens"])})


def _row(said: dict[str, Any]) -> Row:
    names = [one.name for one in fields(Message)]
    messages = tuple(
        Message(**{name: _value(one[name]) for name in names}) for one in said["messages"]
    )
    return Row(messages, frozenset(said["untrained"]), said["number"])


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
