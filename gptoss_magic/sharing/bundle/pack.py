"""A planned bundle, written: whole or not at all."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.atomic import whole_file
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.session import current
from gptoss_magic.sharing.bundle.archive import MAX_RATIO
from gptoss_magic.sharing.bundle.manifest import MANIFEST, BundledFile, Machine, Manifest
from gptoss_magic.sharing.bundle.parts import PlannedFile
from gptoss_magic.sharing.bundle.plan import no_preset, plan_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from gptoss_magic.sharing.bundle.parts import PlannedPart
    from gptoss_magic.sharing.bundle.plan import SharePlan

BLOCK = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file: a bundle tells no times
PLAIN = 0o100644 << 16
WORTH = 0.9  # packed when it becomes smaller than this share


def has_no_secret(plan: SharePlan) -> bool:
    """What a script agrees to where it says nothing."""
    return not plan.secrets


def share(
    path: str | Path,
    notebook: str | Path,
    *,
    index: str = "name",
    replace: bool = False,
    preset_named: Callable[[str], dict[str, Any]] = no_preset,
    consent: Callable[[SharePlan], bool] = has_no_secret,
) -> SharePlan:
    """Write a saved notebook and what its answers name into one zip; what was written.

    `index`: whether an index goes 'whole', as its 'sources', or as its 'name' alone. `replace`: a
    file that is there. `consent` sees the plan before anything is written; the default agrees where
    nothing looks secret. Model weights never go: a bundle says their digest.
    Raises InputError, StorageError; then nothing is written.
    """
    target = checked_target(path, replace=replace)
    plan = plan_share(notebook, index=index, preset_named=preset_named)
    if not consent(plan):
        what = f"{len(plan.secrets)} things in it look secret" if plan.secrets else "not agreed to"
        raise InputError(f"{target}: nothing is written: {what}; look at them, and agree (--yes)")
    pack(plan, target)
    return plan


def checked_target(path: str | Path, *, replace: bool) -> Path:
    """Where the bundle is to lie. Raises InputError."""
    target = Path(path).expanduser()
    if target.suffix.lower() != ".zip":
        raise InputError(f"{target}: a bundle is a zip; give a path that ends in .zip")
    if target.is_dir() or (target.exists() and not replace):
        hint = "give another path" if target.is_dir() else "--force writes over it"
        raise InputError(f"{target}: is there already; {hint}")
    return target


def pack(plan: SharePlan, target: Path) -> None:
    """Write the bundle. Raises StorageError; then what was at `target` is there as before."""
    with whole_file(target) as room, _adapter_files(plan.parts, target.parent) as adapters:
        files = [*plan.files, *(file for part in plan.parts for file in part.files), *adapters]
        with zipfile.ZipFile(room, "w") as archive:
            written = tuple(_add(archive, file) for file in files)
            data = json.dumps(_manifest(plan, written).record(), ensure_ascii=False, indent=1)
            _add(archive, PlannedFile(MANIFEST, data.encode()))


def _manifest(plan: SharePlan, files: tuple[BundledFile, ...]) -> Manifest:
    parts = tuple(part.about for part in plan.parts)
    return Manifest(plan.files[0].path, plan.template, machine(), plan.models, parts, files)


def machine() -> Machine:
    """Where this runs, and the device and threads of the model here."""
    import torch

    resident = current().resident
    return Machine(
        platform.python_version(),
        version("gptoss_magic"),
        f"{platform.system()} {platform.machine()}",
        str(resident.model.device) if resident is not None else "no model loaded",
        torch.get_num_threads(),
    )


@contextmanager
def _adapter_files(parts: Sequence[PlannedPart], beside: Path) -> Iterator[list[PlannedFile]]:
    """Adapters as peft's directories, for as long as they are packed."""
    from gptoss_magic.adapters import write_adapter

    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=beside) as room:
        files = []
        for number, part in enumerate(parts):
            if part.adapter is not None:
                folder = Path(room) / str(number)
                write_adapter(part.adapter, current().require_local().model, folder)
                held = sorted(folder.iterdir())
                files += [PlannedFile(f"{part.about.path}/{file.name}", file) for file in held]
        yield files


@dataclass(frozen=True)
class _Measured:
    size: int
    packed_size: int
    sha256: str


def _add(archive: zipfile.ZipFile, file: PlannedFile) -> BundledFile:
    """Write one file. Packed where that is worth it; never so much that opening would refuse it."""
    known = _measured(file)
    is_worth = known.packed_size < WORTH * known.size
    is_fair = known.size < MAX_RATIO / 2 * max(1, known.packed_size)
    about = zipfile.ZipInfo(file.path, EPOCH)
    about.compress_type = zipfile.ZIP_DEFLATED if is_worth and is_fair else zipfile.ZIP_STORED
    about.external_attr, about.file_size = PLAIN, known.size
    again = hashlib.sha256()
    with archive.open(about, "w", force_zip64=known.size > BLOCK << 10) as stream:
        for block in _blocks(file):
            again.update(block)
            stream.write(block)
    if again.hexdigest() != known.sha256:
        raise StorageError(f"{file.path}: changed while it was packed; share again")
    return BundledFile(file.path, known.size, known.sha256)


def _measured(file: PlannedFile) -> _Measured:
    whole, packer = hashlib.sha256(), zlib.compressobj(6)
    size = packed_size = 0
    for block in _blocks(file):
        whole.update(block)
        size += len(block)
        packed_size += len(packer.compress(block))
    return _Measured(size, packed_size + len(packer.flush()), whole.hexdigest())


def _blocks(file: PlannedFile) -> Iterator[bytes]:
    if isinstance(file.source, bytes):
        yield file.source
        return
    with file.source.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block
