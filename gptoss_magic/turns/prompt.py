"""What the model reads of a request: system and developer message, earlier turns, the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.records import Message
from gptoss_magic.session import current
from gptoss_magic.turns.recall import Recall, recall_of
from gptoss_magic.turns.settle import specs_of
from gptoss_magic.turns.terms import terms_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.records import Answer, Request, Turn


@dataclass(frozen=True)
class OpenTurn:
    """A turn that is to be answered: `messages` whole, or none where the request has token ids.

    `earlier`: the turns of the conversation that stand among them. `recall`: what the memory gave.
    """

    messages: tuple[Message, ...]
    earlier: tuple[Turn, ...]
    recall: Recall


def open_turn(request: Request, ask: Callable[[Request], Answer]) -> OpenTurn:
    """The messages of `request` behind its conversation; `ask` answers, where a summary is made.

    Raises StorageError where turns leave the window and cannot be remembered.
    """
    recall = recall_of(request, ask)
    if request.prompt_ids or request.messages:
        return OpenTurn(request.messages, (), recall)
    chain = [] if request.is_new else current().conversations.chain(request.conversation)
    start = opening(request, recall.rules)
    earlier, question = recall.fitted(start, chain, quoted_prompt(request))
    said = [message for turn in earlier for message in turn.messages]
    return OpenTurn((*start, *said, Message("user", question)), tuple(earlier), recall)


def opening(request: Request, rules: str = "") -> list[Message]:
    """What stands before the user's text: system and developer message."""
    from gptoss_magic.harmony import SystemSettings, developer_message, system_message
    from gptoss_magic.retrieval.cite import grounded

    offered = specs_of(request.tools)
    native = tuple(spec for spec in offered if spec.space)
    specs = [spec for spec in offered if not spec.space]
    settings = SystemSettings(
        effort=request.effort, current_date=request.date, has_tools=bool(specs), native=native
    )
    system, _ = grounded(request.voice.instructions or None, request.passages, request.prompt)
    terms = "" if request.prompt else terms_text(request)  # of others' whole messages
    instructions = "\n\n".join(filter(None, (system, terms, rules)))
    formats = request.schema.formats if request.schema else None
    messages = [system_message(settings)]
    if instructions or specs or formats:
        messages.append(developer_message(instructions, specs, formats))
    return messages


def quoted_prompt(request: Request) -> str:
    """The user's message, below the terms that it is about and the passages to answer from.

    They stand here, not in the instructions, so that what stands before them is computed once.
    """
    from gptoss_magic.retrieval.cite import grounded

    question = grounded(None, request.passages, request.prompt)[1]
    return "\n\n".join(filter(None, (terms_text(request), question)))


def messages_of(request: Request) -> tuple[Message, ...]:
    """The messages of a request that stands alone, behind no conversation."""
    if request.messages:
        return request.messages
    return (*opening(request), Message("user", quoted_prompt(request)))


def ids_of(request: Request) -> list[int]:
    """The prompt of a request that stands alone, in token ids. Raises NotLoaded."""
    return list(request.prompt_ids) or rendered(messages_of(request))


def rendered(messages: Sequence[Message]) -> list[int]:
    """Token ids of messages as the next prompt; reasoning before an answer is left out."""
    from gptoss_magic.harmony import prune, render

    return render(prune(messages), current().codec)
