"""A depth study read again from its folder, with what it came to; no model is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.records.depth import BARE
from gptoss_magic.studies.depth.figures import depth_with
from gptoss_magic.studies.depth.journal import FOLDER, RECORD, folder_of, kept_rung, read_study
from gptoss_magic.studies.depth.report import concluded

if TYPE_CHECKING:
    from gptoss_magic.records.depth import Depth
    from gptoss_magic.studies.depth.journal import StudyRecord


def depth_of(folder: Path) -> Depth:
    """The study in a folder as far as it went. Raises InputError, CheckpointError."""
    record = read_study(folder)
    try:
        return _depth(folder, record)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, (InputError, CheckpointError)):
            raise
        raise CheckpointError(
            f"{folder}: its rungs do not go together ({error}); delete {folder}/rungs, and resume"
        ) from error


def chosen_study(name: str | None, folder: str | Path = FOLDER) -> Path:
    """The folder of a study; without a name the only one, or the newest of several.

    Raises InputError where there is none.
    """
    if name:
        return folder_of(name, folder)
    studies = all_studies(folder)
    if not studies:
        raise InputError(f"{folder}: no depth study yet; %%gptoss_depth NAME --go makes one")
    return studies[-1]


def all_studies(folder: str | Path = FOLDER) -> list[Path]:
    """Folders of all studies, the newest last."""
    files = Path(folder).expanduser().glob(f"*/{RECORD}")
    return [file.parent for file in sorted(files, key=lambda file: file.stat().st_mtime)]


def _depth(folder: Path, record: StudyRecord) -> Depth:
    kept = [kept_rung(folder, rung.key) for rung in record.plan.rungs]
    there = [one for one in kept if one is not None]
    done = next((one for one in there if not one.why), None)
    if done is not None and done.rung.key != BARE:
        raise InputError(f"{folder}: bare is missing, with which all is compared; resume the study")
    finish = "return" if len(there) == len(kept) else "interrupt"
    about = {**record.model, "seed": record.plan.seed}
    return concluded(depth_with(record.plan, there, finish, folder, about))
