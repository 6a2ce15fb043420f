"""What a foreign bundle's files say, each read as what it claims to be, before any is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.sharing.bundle.archive import MAX_NOTEBOOK_BYTES
from gptoss_magic.sharing.bundle.paths import ANEW
from gptoss_magic.sharing.records import records_of
from gptoss_magic.textfiles import json_value

if TYPE_CHECKING:
    from gptoss_magic.sharing.bundle.archive import Archive
    from gptoss_magic.sharing.bundle.manifest import BundledFile, Manifest

HEADER_BYTES = 8  # of a safetensors file: the length of its JSON header
MAX_HEADER_BYTES = 100_000_000


def check_contents(archive: Archive, manifest: Manifest) -> Any:
    """The notebook. Raises InputError for a notebook, adapter, persona or preset that is none."""
    notebook = _json(archive.read(manifest.notebook, MAX_NOTEBOOK_BYTES), manifest.notebook)
    list(records_of(notebook))
    for file in manifest.files:
        kind = file.path.split("/")[0]
        if file.path.endswith(".safetensors"):
            _check_tensors(archive, file)
        elif kind == "personas":
            _check_persona(archive, file.path)
        elif kind in ("adapters", "presets"):
            _check_object(archive.read(file.path), file.path)
    return notebook


def _check_tensors(archive: Archive, file: BundledFile) -> None:
    """A header that is JSON and fits into the file; the numbers are no code."""
    head = b""
    size = HEADER_BYTES
    for block in archive.blocks(file.path, file.size):
        head += block
        size = HEADER_BYTES + int.from_bytes(head[:HEADER_BYTES], "little")
        if len(head) >= size or size > min(file.size, MAX_HEADER_BYTES):
            break
    if not HEADER_BYTES < size <= min(file.size, MAX_HEADER_BYTES) or len(head) < size:
        raise InputError(f"{file.path} in it is no safetensors file; {ANEW}")
    _check_object(head[HEADER_BYTES:size], file.path)


def _check_persona(archive: Archive, path: str) -> None:
    from gptoss_magic.agents.persona_file import parse_persona

    stem = path.rpartition("/")[2].removesuffix(".md")
    try:
        parse_persona(archive.read(path).decode("utf-8"), "", stem)
    except (InputError, UnicodeDecodeError) as error:
        raise InputError(f"{path} in it is no persona ({error}); {ANEW}") from error


def _json(data: bytes, path: str) -> Any:
    try:
        return json_value(data.decode("utf-8"), path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} in it is no UTF-8 ({error.reason}); {ANEW}") from error


def _check_object(data: bytes, path: str) -> None:
    value = _json(data, path)
    if not isinstance(value, dict):
        raise InputError(f"{path} in it is no JSON object: {json.dumps(value)[:40]}; {ANEW}")
