"""Tokenizers that lie here already, or that the user names: one must agree with the server's."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError, GptOssError, InputError, error_line
from gptoss_magic.serving.remote.refusals import RemoteFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.serving.remote.client import Client

THEIRS = "the server's own"
HUB_NAMES = ("openai/gpt-oss-20b", "openai/gpt-oss-120b")
FILE = "tokenizer.json"


def named_codec(name: str) -> HarmonyCodec:
    """The tokenizer of a folder, or of a hub name: that one file is downloaded where it is missing.

    Raises InputError, CheckpointError.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _read(folder / FILE)
    if name == "built-in":
        from gptoss_magic.model import stand_in

        return _read(Path(stand_in.checkpoint()) / FILE)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(
            f"--tokenizer {name}: neither a folder, nor built-in, nor a hub name OWNER/NAME"
        )
    from huggingface_hub import hf_hub_download

    try:
        return _read(Path(hf_hub_download(name, FILE)))
    except CheckpointError:
        raise
    except Exception as error:
        raise InputError(f"--tokenizer {name}: {error_line(error)}") from error


def local_codecs(
    model: str, held: HarmonyCodec | None, *, is_local: bool
) -> Iterator[tuple[str, HarmonyCodec]]:
    """(what it is, codec) of each tokenizer that needs no download, likeliest first.

    `is_local`: the server is on this machine, so that a folder that it names is one here.
    """
    sources: list[tuple[str, Callable[[], HarmonyCodec]]] = []
    if held is not None:
        sources.append(("the loaded model's", lambda: held))
    if is_local and Path(model).is_dir():
        sources.append((f"{model}'s", lambda: _read(Path(model) / FILE)))
    names = (name for name in dict.fromkeys((model, *HUB_NAMES)) if name.count("/") == 1)
    cached = [(f"{name}'s", file) for name in names if (file := _cached(name))]
    built_in = [("the built-in model's", file) for file in _built_in()]
    sources += [(about, partial(_read, file)) for about, file in (*cached, *built_in)]
    for about, read in sources:
        try:
            yield about, read()
        except (GptOssError, OSError):
            continue  # another one may do; a server without any is asked by chat, which is said


def served_codec(client: Client) -> HarmonyCodec | None:
    """The tokenizer that a kernel of ours gives away; None where it does not."""
    try:
        text = json.dumps(client.get("/tokenizer.json"), ensure_ascii=False)
    except RemoteFault:
        return None
    from tokenizers import Tokenizer

    return _codec("the server's tokenizer", lambda: {"tokenizer_object": Tokenizer.from_str(text)})


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        file = try_to_load_from_cache(name, FILE)
    except ValueError:  # a server's name for a model is no hub's
        return None
    return Path(file) if isinstance(file, str) else None


def _built_in() -> list[Path]:
    """Of the checkpoints that were converted here before."""
    from gptoss_magic.model.stand_in import cache_directory

    return sorted(cache_directory().glob(f"built-in-*/{FILE}"))[-1:]


def _read(file: Path) -> HarmonyCodec:
    if not file.exists():
        raise CheckpointError(f"{file}: there is none; give the folder of a tokenizer.json")
    return _codec(str(file), lambda: {"tokenizer_file": str(file)})


def _codec(where: str, source: Callable[[], dict[str, Any]]) -> HarmonyCodec:
    from transformers import PreTrainedTokenizerFast

    from gptoss_magic.harmony import HarmonyCodec

    wrap: Any = PreTrainedTokenizerFast
    try:
        return HarmonyCodec(wrap(**source()))
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{where}: it cannot be read ({error_line(error)}); give another --tokenizer"
        ) from error
