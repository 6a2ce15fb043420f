"""Texts to vectors: the protocol, and what works without a network."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.quoting import encodable
from gptoss_magic.retrieval.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Embedder(Protocol):
    """`embed` gives float32 [len(texts), dim]; `name` says what the vectors can be compared with.

    A `dim` of 0 means no vectors: such an index is searched by its words alone.
    """

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Any: ...


class Words:
    """No vectors: full-text search alone."""

    name, dim = "words", 0

    def embed(self, texts: Sequence[str]) -> Any:
        import numpy as np

        return np.zeros((len(texts), 0), np.float32)


class WordLlama:
    """Static token vectors, 256 wide, from the weights in the package wordllama (33 MB, MIT).

    A text's vector is the mean of its tokens', of length one: what wordllama's own `embed` gives,
    in less than half of the time. It pads each batch to its longest text, and sums mostly nothing.
    """

    name, dim = "wordllama-256", 256

    def __init__(self) -> None:
        import wordllama

        folder = Path(wordllama.__file__).parent
        model = wordllama.WordLlama.load(cache_dir=folder, dim=256, disable_download=True)
        self._tokenizer, self._table = model.tokenizer, model.embedding
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> Any:
        import numpy as np

        sums = np.zeros((len(texts), self.dim), np.float32)
        encoded = self._tokenizer.encode_batch_fast(
            [*map(encodable, texts)], add_special_tokens=False
        )
        for total, text in zip(sums, encoded, strict=True):  # one text's rows fit in the cache
            np.add.reduce(self._table.take(text.ids, axis=0, mode="clip"), axis=0, out=total)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return sums / np.where(lengths > 0, lengths, 1)


class SentenceTransformers:
    """A sentence-transformers model by hub name or folder; its own code is not run.

    Its hub name is asked of the network where it is not in the cache. Raises MissingPackage,
    InputError.
    """

    def __init__(self, model: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingPackage(
                f"embedder st:{model} needs sentence-transformers: pip install gptoss_magic[embed]"
            ) from error
        try:
            self._model = SentenceTransformer(model, trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n")[0][:200]
            raise InputError(
                f"embedder st:{model}: {reason}; give a hub name or a folder of "
                "sentence-transformers"
            ) from error
        self.name = f"st:{model}"
        self.dim = int(self._model.get_embedding_dimension() or 0)

    def embed(self, texts: Sequence[str]) -> Any:
        import numpy as np

        if not texts:
            return np.zeros((0, self.dim), np.float32)
        vectors = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32)


def embedder_named(name: str = "") -> Embedder:
    """The embedder of that name; without one, WordLlama where it is installed, else Words.

    `st:MODEL` is a sentence-transformers model, `openai:URL#MODEL` an endpoint (see `Endpoint`).
    Raises InputError for an unknown name, MissingPackage.
    """
    name = name or (WordLlama.name if find_spec("wordllama") else Words.name)
    kind, _, rest = name.partition(":")
    if kind in OFFERED:
        return OFFERED[kind](rest)
    return _kept(name)


def is_of_here(embedder: Embedder) -> bool:
    """Whether another process could not have it by its name."""
    kind = embedder.name.partition(":")[0]
    return kind in OFFERED or (kind not in KINDS and type(embedder) is not EMBEDDERS.get(kind))


@cache
def _kept(name: str) -> Embedder:
    kind, _, rest = name.partition(":")
    if rest and kind in KINDS:
        return KINDS[kind](rest)
    if name not in EMBEDDERS:
        known = [*EMBEDDERS, "st:MODEL", "openai:URL#MODEL", *OFFERED]
        raise InputError(f"embedder {name}: there are {', '.join(known)}")
    if name == WordLlama.name and not find_spec("wordllama"):
        raise MissingPackage(f"embedder {name} needs wordllama: pip install gptoss_magic[rag]")
    return EMBEDDERS[name]()


EMBEDDERS: dict[str, Callable[[], Embedder]] = {Words.name: Words, WordLlama.name: WordLlama}
KINDS: dict[str, Callable[[str], Embedder]] = {"st": SentenceTransformers, "openai": Endpoint}
OFFERED: dict[str, Callable[[str], Embedder]] = {}  # what lives no longer than a model: not kept
