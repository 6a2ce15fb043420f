"""Requests to a Weaviate server, by its REST and GraphQL interfaces; they need no package."""

from __future__ import annotations

import json
import os
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.quoting import one_line, printable
from gptoss_magic.retrieval.named_server import headers_with, opened, sends_key, split_url
from gptoss_magic.textfiles import json_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.retrieval.stores.contract import Value

KEY = "WEAVIATE_API_KEY"
MAX_ANSWER_BYTES = 200_000_000
MOST_CHARS = 300  # of what a server says


class WeaviateWire:
    """The server at `url`, such as http://localhost:8080.

    The key is the environment's WEAVIATE_API_KEY, sent where it is set; without https only to this
    machine. Raises InputError for what is no address.
    """

    def __init__(self, url: str, name: str) -> None:
        parts = split_url(url)
        if parts is None or not parts.hostname or parts.query or parts.fragment:
            raise InputError(
                f"--store weaviate:{printable(url)}: give a server's address, such as "
                "weaviate:http://localhost:8080"
            )
        if parts.username or parts.password:
            raise InputError(f"--store weaviate: no password in the URL; set {KEY}")
        self._sends_key = sends_key(parts)
        self.url, self._name = url.rstrip("/"), name

    def asked(self, method: str, path: str, body: Any = None, *, may_lack: bool = False) -> Any:
        """The JSON that the server answers; None for no body, and for 404 where it `may_lack`.

        Raises StorageError.
        """
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = headers_with(os.environ.get(KEY) if self._sends_key else None, KEY)
        try:
            with opened(f"{self.url}/v1/{path}", data, headers, method) as response:
                text = response.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
        except HTTPError as error:
            if error.code == 404 and may_lack:
                return None
            said = one_line(error.read(4 * MOST_CHARS).decode("utf-8", "replace"), MOST_CHARS)
            raise StorageError(f"{self._what}: HTTP {error.code}: {said}; see its log") from error
        except (OSError, HTTPException) as error:
            why = getattr(error, "reason", error)
            raise StorageError(
                f"{self._what}: {why or type(error).__name__}; see whether it runs"
            ) from error
        return json_value(text, f"{self._what}: its answer") if text.strip() else None

    def graphql(self, query: str) -> Any:
        """The `data` of an answer. Raises StorageError for errors, which come with HTTP 200."""
        answer = self.asked("POST", "graphql", {"query": query})
        try:
            errors = answer.get("errors")
            if errors:
                said = one_line(str(errors[0]["message"]), MOST_CHARS)
                raise StorageError(f"{self._what}: {said}; see its log")
            return answer["data"]
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise self.strange() from error

    def strange(self) -> StorageError:
        """For an answer of another shape than is documented."""
        return StorageError(f"{self._what}: an answer of another shape than Weaviate's")

    @property
    def _what(self) -> str:
        return f"{self._name}: weaviate {self.url}"


def where_json(among: Mapping[str, Sequence[Value]]) -> dict[str, Any]:
    """A filter in the form of Weaviate's REST interface."""
    parts = [_one_of(column, values) for column, values in among.items()]
    return parts[0] if len(parts) == 1 else {"operator": "And", "operands": parts}


def _one_of(column: str, values: Sequence[Value]) -> dict[str, Any]:
    kind = "valueInt" if all(isinstance(value, int) for value in values) else "valueText"
    if len(values) == 1:
        return {"path": [column], "operator": "Equal", kind: values[0]}
    return {"path": [column], "operator": "ContainsAny", kind: list(values)}


def graphql_text(value: Any) -> str:
    """A value as GraphQL writes it: keys bare, operators as words, texts and numbers as JSON's."""
    if isinstance(value, dict):
        inner = (
            f"{key}: {one if key == 'operator' else graphql_text(one)}"
            for key, one in value.items()
        )
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(graphql_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
