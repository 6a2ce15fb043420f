"""A folder that one process holds at a time; a second one is told who does."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.atomic import storing
from gptoss_magic.errors import StorageError
from gptoss_magic.quoting import printable

if TYPE_CHECKING:
    from typing import Self

LOCK, HOLDER = ".lock", ".holder.json"


class Hold:
    """`folder`, which is made where it is not there, held until `release`, or the process's end.

    `name`: what it is called in messages. Raises StorageError where another process holds it, and
    says which one.
    """

    def __init__(self, folder: Path, name: str) -> None:
        from filelock import FileLock, Timeout

        self._folder = folder
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / LOCK, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StorageError(
                f"{name}: {_holder(folder)} holds {printable(folder)}, which is for one process at "
                "a time; there, %gptoss index close or memory off lets it go, and so does its end"
            ) from error
        except OSError as error:
            raise StorageError(f"{name}: {error.strerror or error}") from error
        self._tell()

    def release(self) -> None:
        (self._folder / HOLDER).unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def _tell(self) -> None:
        program = Path(sys.argv[0] or sys.executable).name
        if "ipykernel" in sys.argv[0]:
            program = "a Jupyter kernel"
        since = datetime.now().astimezone().isoformat(" ", "minutes")
        told = {"pid": os.getpid(), "program": program, "since": since}
        (self._folder / HOLDER).write_text(json.dumps(told), "utf-8")


def _holder(folder: Path) -> str:
    """`process 4711 (a Jupyter kernel, since …)`, as it told; anything may stand in the file."""
    try:
        told = json.loads((folder / HOLDER).read_text("utf-8"))
        pid, program, since = (str(told[key])[:60] for key in ("pid", "program", "since"))
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
    return printable(f"process {pid} ({program}, since {since})")
