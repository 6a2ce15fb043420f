"""Vectors from an OpenAI-compatible server, which the user names: texts leave this machine."""

from __future__ import annotations

import json
import os
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.quoting import encodable, printable
from gptoss_magic.retrieval.named_server import headers_with, opened, sends_key, split_url
from gptoss_magic.textfiles import json_value
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "OPENAI_API_KEY"
BATCH = 64
MAX_ANSWER_BYTES = 100_000_000


class Endpoint:
    """`openai:URL#MODEL`: POST URL/embeddings, in the form of OpenAI's API.

    The key is the environment's OPENAI_API_KEY, sent where it is set; without https only to this
    machine. The first call asks for one vector, to know its width. Raises InputError.
    """

    def __init__(self, place: str) -> None:
        self.url, _, self.model = place.partition("#")
        parts = split_url(self.url)
        if parts is None or not parts.hostname or not self.model:
            raise InputError(
                f"embedder openai:{printable(place)}: give openai:URL#MODEL, such as "
                "openai:https://api.openai.com/v1#text-embedding-3-small"
            )
        if parts.username or parts.password:
            raise InputError(f"embedder openai: no password in the URL; set {KEY}")
        self._sends_key = sends_key(parts)
        self.name = f"openai:{place}"
        self.dim = len(self._asked(["width"])[0])

    def embed(self, texts: Sequence[str]) -> Any:
        import numpy as np

        found: list[list[float]] = []
        for begin in range(0, len(texts), BATCH):
            found += self._asked(texts[begin : begin + BATCH])
        try:
            vectors = np.asarray(found, np.float32).reshape(len(texts), self.dim)
        except ValueError as error:
            raise InputError(
                f"{self.name}: vectors of another width than {self.dim}; ask a model that gives "
                "one width"
            ) from error
        if not np.isfinite(vectors).all():
            raise InputError(
                f"{self.name}: a vector with NaN or an infinite number in it; ask another model"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)

    def _asked(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in their order; an empty text is sent as a space."""
        body = {"model": self.model, "input": [encodable(text) or " " for text in texts]}
        answer = self._posted(json.dumps(body).encode())
        try:
            data = sorted(answer["data"], key=lambda item: int(item["index"]))
            vectors = [[float(number) for number in item["embedding"]] for item in data]
        except Exception as error:  # (an answer of any shape)
            raise InputError(
                f"{self.name}: an answer that holds no embeddings; see what that URL serves"
            ) from error
        if len(vectors) != len(texts) or not all(vectors):
            raise InputError(
                f"{self.name}: {counted(len(vectors), 'vector')} for "
                f"{counted(len(texts), 'text')}; see what that URL serves"
            )
        return vectors

    def _posted(self, body: bytes) -> Any:
        key = os.environ.get(KEY) if self._sends_key else None
        headers = headers_with(key, f"{self.name}: {KEY}")
        try:
            with opened(f"{self.url.rstrip('/')}/embeddings", body, headers) as response:
                answer = response.read(MAX_ANSWER_BYTES)
        except HTTPError as error:
            said = error.read(300).decode("utf-8", "replace").replace("\n", " ")
            raise StorageError(
                f"{self.name}: HTTP {error.code}: {said}; see the URL, the model and its key"
            ) from error
        except (OSError, HTTPException) as error:
            why = getattr(error, "reason", error)
            raise StorageError(
                f"{self.name}: {why or type(error).__name__}; see whether that server runs"
            ) from error
        return json_value(answer.decode("utf-8", "replace"), f"{self.name}: its answer")
