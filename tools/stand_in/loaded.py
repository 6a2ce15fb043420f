"""The built-in model, or what it would be with another mixture of experts, made resident."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from pathlib import Path

import gptoss_magic
from gptoss_magic.model.stand_in import cache_directory, convert
from gptoss_magic.model.stand_in.mixture import EXPERTS, ROUTERS
from gptoss_magic.model.stand_in.source import DATA, verified_source

OPTION = "--mixture"


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option that `load` takes the value of."""
    words = "a folder with experts.safetensors and routers.safetensors to try, not the shipped ones"
    parser.add_argument(OPTION, type=Path, default=None, help=words)


def load(mixture: Path | None = None) -> None:
    """The built-in model; with a `mixture`, converted anew into the cache under its digest."""
    if mixture is None or mixture == DATA:
        gptoss_magic.load("built-in", replace=True)
        return
    digest = hashlib.sha256()
    for name in (EXPERTS, ROUTERS):
        digest.update((mixture / name).read_bytes())
    target = cache_directory() / f"tried-{digest.hexdigest()[:12]}"
    if not target.is_dir():
        room = Path(tempfile.mkdtemp(prefix="trying-", dir=target.parent))
        convert.convert(verified_source(), room, lambda note, share: None, mixture=mixture)
        room.replace(target)
    gptoss_magic.load(str(target), replace=True)
