"""The Hugging Face hub: headers first, so that a load is planned before anything is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gptoss_magic.errors import CheckpointError
from gptoss_magic.model.checkpoint import Checkpoint, checked_config, read_checkpoint
from gptoss_magic.model.headers import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")
WANTED = ["*.json", "*.jinja", "*.safetensors"]
UNWANTED = ["original/*", "metal/*"]


def cached(name: str, revision: str | None) -> Checkpoint:
    """The checkpoint from the hub's local cache. Raises CheckpointError where it is not there."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name}: not in the local cache; leave --offline out, or give a directory"
        ) from error
    return read_checkpoint(name, folder, folder.name)


def remote(name: str, revision: str | None) -> Checkpoint:
    """Config and headers over the network; `path` is None until it is downloaded."""
    from huggingface_hub import HfApi, hf_hub_download

    def ask() -> Checkpoint:
        commit = HfApi().model_info(name, revision=revision).sha
        metadata = HfApi().get_safetensors_metadata(name, revision=commit)
        config = Path(hf_hub_download(name, "config.json", revision=commit))
        return Checkpoint(name, None, checked_config(config), _tensors(metadata), commit)

    return _asked(name, ask)


def _tensors(metadata: Any) -> dict[str, Tensor]:
    return {
        key: Tensor(file, info.dtype, tuple(info.shape))
        for file, header in metadata.files_metadata.items()
        for key, info in header.tensors.items()
    }


def download(
    name: str, revision: str | None, progress: Callable[[int, int, str], None]
) -> Checkpoint:
    """The checkpoint in the hub's local cache; an interrupted download goes on next time."""
    from huggingface_hub import snapshot_download

    bar = _bar(progress)
    folder = _asked(
        name,
        lambda: snapshot_download(
            name,
            revision=revision,
            allow_patterns=WANTED,
            ignore_patterns=UNWANTED,
            tqdm_class=bar,
        ),
    )
    bar.live = False  # bars report once more when they are collected
    return read_checkpoint(name, Path(folder), Path(folder).name)


def _bar(progress: Callable[[int, int, str], None]) -> Any:
    """A tqdm class that shows nothing and tells `progress` the bytes."""
    import io

    from tqdm.std import tqdm

    class Told(tqdm):
        live = True

        def __init__(self, *args: Any, **settings: Any) -> None:
            settings.pop("name", None)
            super().__init__(*args, **{**settings, "file": io.StringIO(), "disable": False})

        def display(self, *_args: Any, **_settings: Any) -> bool:
            if self.live and self.unit == "B":
                progress(int(self.n), int(self.total or 0), "downloading")
            return True

    return Told


def _asked(name: str, question: Callable[[], T]) -> T:
    """What the hub answers, its many errors as one line."""
    try:
        return question()
    except CheckpointError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0][:120]
        raise CheckpointError(
            f"{name}: the hub did not give it ({type(error).__name__}: {reason}); check the name "
            "and the network, or give a local directory"
        ) from error
