"""Requests of others, who send the whole conversation each time: the endpoint's, frameworks'."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ContextOverflow
from gptoss_magic.session import current
from gptoss_magic.turns.prompt import ids_of, opening
from gptoss_magic.turns.settle import settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Message, Request, ToolSpec
    from gptoss_magic.turns.names import ModelName

DEFAULT_TOKENS = 2048  # new tokens where neither caller nor persona sets a bound


def settled_whole(
    name: ModelName,
    messages: tuple[Message, ...],
    *,
    instructions: str = "",
    tools: Sequence[ToolSpec] = (),
    must_call: tuple[str, ...] = (),
    max_tokens: int | None = None,
    conversation: str = "",
    num_top: int = 0,
    **settings: Any,
) -> Request:
    """The request for `messages`, behind system and developer message, its prompt in tokens.

    `must_call`, `num_top`: see `Request`; `conversation`: whose KV cache it goes on with;
    `settings`: of `turns.settle`. Raises GptOssError.
    """
    request = settle(
        messages=messages,
        persona=name.persona,
        adapters=name.adapters,
        system=instructions or None,
        tools=tools,
        ready=current().require,
        defaults={"max_tokens": DEFAULT_TOKENS},
        max_tokens=max_tokens,
        **settings,
    )
    request = replace(
        request,
        messages=(*opening(request), *messages),
        must_call=must_call,
        num_top=num_top,
        conversation=conversation,
    )
    return bounded(request, request.sampling.max_tokens)


def bounded(request: Request, max_tokens: int) -> Request:
    """`request` with its prompt in tokens, and as many new ones as there is room for at most.

    Raises ContextOverflow where there is none.
    """
    engine, prompt_ids = current().engine, tuple(ids_of(request))
    num_virtual = current().shelf.num_virtual(request.adapters) if request.adapters else 0
    room = engine.context - num_virtual - len(prompt_ids)
    if room < 1:
        raise ContextOverflow(
            f"the prompt has {len(prompt_ids)} tokens, and the context {engine.context}: shorten it"
        )
    most = min(room, max_tokens)
    return replace(
        request, prompt_ids=prompt_ids, sampling=replace(request.sampling, max_tokens=most)
    )
