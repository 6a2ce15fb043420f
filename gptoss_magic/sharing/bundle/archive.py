"""A foreign zip, read without trust: nothing it says of itself is believed."""

from __future__ import annotations

import hashlib
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.sharing.bundle.indexes import OFFICE, ZIPS
from gptoss_magic.sharing.bundle.manifest import LOCK, MANIFEST, check_parts, read_manifest
from gptoss_magic.sharing.bundle.paths import ANEW, check_path, check_paths
from gptoss_magic.sharing.bundle.sizes import size_text
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from gptoss_magic.sharing.bundle.manifest import BundledFile, Manifest

BLOCK = 1 << 20
MAX_FILES = 20_000
MAX_BYTES = 64_000_000_000  # of all files, unpacked
MAX_JSON_BYTES = 16_000_000  # of what is read whole, but for the notebook
MAX_NOTEBOOK_BYTES = 512_000_000
MAX_RATIO = 200  # unpacked to packed; deflate can reach 1000, with nothing but one letter
FREE_BYTES = 10_000_000  # that may be packed as tightly as they like
READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
ENCRYPTED, MASKED = 0x1 | 0x40, 0x2000
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, NotImplementedError, RuntimeError, IndexError, OverflowError),
)


class Archive:
    """The files of a bundle that is open. Made by `opened`."""

    def __init__(self, name: str, archive: zipfile.ZipFile, size: int) -> None:
        self.name, self._archive = name, archive
        infos = archive.infolist()
        if len(infos) > MAX_FILES:
            raise InputError(
                f"{counted(len(infos), 'file')} in it; {MAX_FILES:,} at most are opened; {ANEW}"
            )
        for info in infos:
            _check_entry(info)
        self._infos = {info.orig_filename: info for info in infos if not info.is_dir()}
        if len(self._infos) < sum(not info.is_dir() for info in infos):
            raise InputError(f"two files in it have one path; {ANEW}")
        _check_sizes(infos, size)
        check_paths(self._infos)

    @property
    def paths(self) -> set[str]:
        """Of all files."""
        return set(self._infos)

    def blocks(self, path: str, limit: int) -> Iterator[bytes]:
        """A file's bytes, never more than `limit`. Raises InputError."""
        total = 0
        with broken(), self._archive.open(self._infos[path]) as stream:
            while block := stream.read(BLOCK):
                total += len(block)
                if total > limit:
                    raise InputError(f"{path} in it is larger than {size_text(limit)}; {ANEW}")
                yield block

    def read(self, path: str, limit: int = MAX_JSON_BYTES) -> bytes:
        """A small file whole. Raises InputError."""
        if path not in self._infos:
            raise InputError(
                f"there is no {path} in it, so it is no bundle of gptoss_magic; give one made by "
                "%gptoss share"
            )
        return b"".join(self.blocks(path, limit))

    def checked_blocks(self, file: BundledFile) -> Iterator[bytes]:
        """A file's bytes; behind the last, InputError where they are not those of the manifest."""
        whole, size, head = hashlib.sha256(), 0, b""
        for block in self.blocks(file.path, file.size):
            head = head or block[:4]
            whole.update(block)
            size += len(block)
            yield block
        if head in ZIPS and not _may_be_zip(file.path):
            raise InputError(f"{file.path} in it is another zip; a bundle holds none; {ANEW}")
        if (size, whole.hexdigest()) != (file.size, file.sha256):
            raise InputError(
                f"{file.path} in it is not what {MANIFEST} says (its size or SHA-256 differs): ask "
                "for the bundle again"
            )

    def manifest(self) -> Manifest:
        """What the bundle says it holds, checked against what it does. Raises InputError."""
        manifest = read_manifest(self.read(MANIFEST))
        listed = [file.path for file in manifest.files]
        if len(set(listed)) < len(listed):
            raise InputError(f"{MANIFEST}: a file is listed twice; {ANEW}")
        if {*listed, MANIFEST} != self.paths or MANIFEST in listed:
            odd = sorted({*listed, MANIFEST} ^ self.paths) or [MANIFEST]
            raise InputError(f"{MANIFEST}: {odd[0][:80]!r} is listed or there, not both; {ANEW}")
        if LOCK not in listed:
            raise InputError(
                f"there is no {LOCK} in it, so it is no bundle of gptoss_magic; give one made by "
                "%gptoss share"
            )
        check_parts(manifest, self.paths)
        return manifest


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A bundle to read. Raises InputError, whatever is wrong with it."""
    if not path.is_file():
        raise InputError("no such file; give a bundle made by %gptoss share")
    with broken(), path.open("rb") as stream:
        if stream.read(4) != ZIPS[0]:
            raise InputError("it is no zip; give a bundle made by %gptoss share")
        with zipfile.ZipFile(stream) as archive:
            yield Archive(path.name, archive, _size(stream))


def _size(stream: IO[bytes]) -> int:
    return stream.seek(0, 2)


@contextmanager
def broken() -> Iterator[None]:
    """What zipfile makes of a damaged archive, as one line of ours."""
    try:
        yield
    except InputError:
        raise
    except BROKEN as error:
        why = str(error) or type(error).__name__
        raise InputError(f"the zip is damaged or was cut off ({why}); ask for it again") from error


def _check_entry(info: zipfile.ZipInfo) -> None:
    """Raise InputError for what is no plain file or folder with a path that stays inside."""
    path = info.orig_filename
    check_path(path.removesuffix("/"))
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{path[:80]!r} in it is a link or a device; {ANEW}")
    if info.is_dir() != (stat.S_IFMT(mode) == stat.S_IFDIR) and stat.S_IFMT(mode):
        raise InputError(
            f"{path[:80]!r} in it is a folder by one sign and a file by another; {ANEW}"
        )
    if info.flag_bits & (ENCRYPTED | MASKED):
        raise InputError(f"{path[:80]!r} in it is encrypted; a bundle is not; {ANEW}")
    if info.compress_type not in READABLE:
        raise InputError(f"{path[:80]!r} in it is packed in a way that no bundle is; {ANEW}")
    if path.lower().endswith(".zip"):
        raise InputError(f"{path[:80]!r} in it is another zip; a bundle holds none; {ANEW}")


def _check_sizes(infos: list[zipfile.ZipInfo], size: int) -> None:
    """Raise InputError for a bomb: too much in all, too tightly packed, or files that overlap."""
    unpacked, packed = (sum(getattr(i, n) for i in infos) for n in ("file_size", "compress_size"))
    if unpacked > MAX_BYTES:
        raise InputError(
            f"{size_text(unpacked)} in it; {size_text(MAX_BYTES)} at most are opened; {ANEW}"
        )
    if packed > size:
        raise InputError(f"files in it overlap; {ANEW}")
    pairs = [(info.file_size, info.compress_size) for info in infos]
    for large, small in [(unpacked, packed), *pairs]:
        if large > FREE_BYTES and large > MAX_RATIO * max(1, small):
            raise InputError(
                f"{size_text(small)} in it would become {size_text(large)}: that is a zip bomb; "
                "do not open it"
            )


def _may_be_zip(path: str) -> bool:
    """True for an office document among an index's sources."""
    return "/sources/" in path and f".{path.rpartition('.')[2].lower()}" in OFFICE
