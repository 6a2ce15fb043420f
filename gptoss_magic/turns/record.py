"""What an answer leaves behind, in a notebook or a map's journal: all that repeats it, packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import GptOssError
from gptoss_magic.harmony.template import template_digest
from gptoss_magic.records.packed import pack_ids, pack_logprobs
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Answer, Generation

VERSION = 2
SHORT = 80  # characters of a recalled item; the prompt's tokens have the whole


def record_of(answer: Answer) -> dict[str, Any]:
    """The answer's record for a notebook: about 4 characters a token, and up to 2 KB."""
    known: dict[str, Any] = {"version": VERSION, **answer.provenance}
    del known["prompt_tokens"]
    known["template"] = template_digest(current().codec)
    known["generations"] = _packed_calls(generations_of(answer))
    if "tools" in known:
        calls = [{"name": c["name"], "outcome": c["outcome"]} for c in known["tools"]["calls"]]
        known["tools"] = {**known["tools"], "calls": calls}
    if "memory" in known:
        items = [{**i, "text": i["text"][:SHORT]} for i in known["memory"]["recalled"]]
        known["memory"] = {**known["memory"], "recalled": items}
    if indexes := _index_versions(known.get("passages", ())):
        known["indexes"] = indexes
    return known


def generations_of(answer: Answer) -> tuple[Generation, ...]:
    """Each call of the model behind an answer."""
    from gptoss_magic.records import Generation

    about = answer.provenance
    turn = current().conversations.get(about["turn"]["id"]) if "turn" in about else None
    if turn is not None and turn.answer.raw_tokens == answer.raw_tokens:
        return turn.generations
    ids, seconds = tuple(about["prompt_tokens"]), answer.usage.total_s
    return (Generation(ids, answer.raw_tokens, answer.finish, 0.0, seconds, answer.logprobs),)


def _packed_calls(generations: Sequence[Generation]) -> list[dict[str, Any]]:
    packed: list[dict[str, Any]] = []
    before: tuple[int, ...] = ()
    for said in generations:
        packed.append(
            {
                "prompt": pack_ids(said.prompt_ids, before),
                "answer": pack_ids(said.answer_ids),
                "kept": said.num_kept,
                "logprobs": pack_logprobs(said.logprobs),
                "finish": said.finish,
            }
        )
        before = (*said.prompt_ids, *said.answer_ids)
    return packed


def _index_versions(passages: Sequence[Any]) -> dict[str, int]:
    """The versions of the indexes that passages are of, those that lie on this machine.

    Others are the notebook's own passages, or another store's.
    """
    names = dict.fromkeys(passage["index"] for passage in passages)
    versions = {name: index_version(name) for name in names}
    return {name: version for name, version in versions.items() if version is not None}


def index_version(name: str) -> int | None:
    """The version of an index as it is here; None where it is not."""
    from gptoss_magic.retrieval.index import Index

    try:
        return Index.open(name).version()
    except GptOssError:
        return None
