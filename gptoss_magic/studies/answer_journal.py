"""Answers of an evaluation that are kept, so that the same command goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.records import Answer, ToolCall, Usage
from gptoss_magic.session import current
from gptoss_magic.turns.prompt import ids_of
from gptoss_magic.turns.rows.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType
    from typing import Self

    from gptoss_magic.records import Request
    from gptoss_magic.turns.rows.journal import RowRecord


class AnswerJournal:
    """Answers by what was asked: the model, what stood beside it, the sampler, the exact prompt.

    Used as a context: leaving it writes. Raises StorageError, MissingPackage (pyarrow).
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.journal = folder, Journal(folder)

    def __enter__(self) -> Self:
        self.journal.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.journal.__exit__(kind, error, trace)

    def forget(self, keys: Collection[str]) -> None:
        """Delete the answers of these keys."""
        self.journal.forget(keys)

    def get(self, key: str) -> Answer | None:
        """The kept answer, without its tokens; None where there is none."""
        record = self.journal.known.get(key)
        return None if record is None else _answer(record)

    def add(self, key: str, number: int, answer: Answer) -> None:
        """Keep an answer."""
        usage = answer.usage
        said: dict[str, Any] = {
            "tool_calls": [[call.name, call.arguments, call.raw] for call in answer.tool_calls],
            "prompt_tokens": usage.prompt_tokens,
            "analysis_tokens": usage.analysis_tokens,
            "total_s": usage.total_s,
            "repairs": list(answer.repairs),
        }
        self.journal.add(
            {
                "key": key,
                "row": number,
                "final": answer.final,
                "analysis": answer.analysis,
                "error": None,
                "finish": answer.finish,
                "num_tokens": usage.completion_tokens,
                "provenance": json.dumps(said),
            }
        )


def default_folder(names: Collection[str]) -> Path:
    """Of the user's data directory, one for these suites."""
    from platformdirs import user_data_path

    whole = "+".join(names)
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    slug = re.sub(r"[^A-Za-z0-9.-]+", "-", whole)[:40].strip("-.")
    return user_data_path("gptoss_magic") / "evaluations" / f"{slug}-{digest}"


def key_of(request: Request) -> str:
    """A digest of all that the answer hangs on; the seed counts where it is used."""
    session = current()
    sampler = {k: v for k, v in request.sampling.record().items() if k != "lookup"}
    if request.sampling.temperature == 0:
        del sampler["seed"]
    records = session.shelf.records(request.adapters) if request.adapters else []
    remote = session.remote
    whole = [
        dict(session.require().identity),
        remote.url if remote else "",
        [(record["uid"], record["scale"]) for record in records],
        request.schema.schema if request.schema else None,
        sampler,
        ids_of(request),
    ]
    text = json.dumps(whole, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _answer(record: RowRecord) -> Answer:
    said = json.loads(record["provenance"])
    usage = Usage(
        prompt_tokens=said["prompt_tokens"],
        completion_tokens=record["num_tokens"],
        analysis_tokens=said["analysis_tokens"],
        first_token_s=0.0,
        analysis_s=0.0,
        total_s=said["total_s"],
    )
    calls = tuple(ToolCall(*call) for call in said["tool_calls"])
    return Answer(
        final=record["final"],
        analysis=record["analysis"],
        commentary="",
        tool_calls=calls,
        messages=(),
        usage=usage,
        finish=record["finish"],
        raw_tokens=(),
        provenance={},
        repairs=tuple(said.get("repairs", ())),
    )
