"""The very tokens of what was answered, found again where a caller sends it back.

A caller's text never equals tokens: arguments are written anew, thoughts left out. What comes back
is matched by its call's id or its text, and the model reads what it said itself.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.harmony.exact import with_ids
from gptoss_magic.harmony.parse import parsed
from gptoss_magic.records import function_name
from gptoss_magic.turns.told import is_same_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import Message

MARK = "gm1."
MOST_BYTES = 8_000_000  # of an unpacked thought


@dataclass(frozen=True)
class KnownCall:
    """A call that was made here, and the thoughts of its turn before it."""

    message: Message
    before: tuple[Message, ...]


class Exact:
    """What was said, by the ids of calls and by text; the newest of a text counts."""

    def __init__(self) -> None:
        self._calls: dict[str, KnownCall] = {}
        self._said: dict[tuple[str, str], list[Message]] = {}

    def add(self, said: Sequence[Message], call_ids: Sequence[str]) -> None:
        """The messages of one answer; `call_ids` of its calls, in order."""
        ids = iter(call_ids)
        for place, message in enumerate(said):
            if message.recipient:
                if call_id := next(ids, ""):  # none where a stop string came first
                    self._calls[call_id] = KnownCall(message, tuple(said[:place]))
            else:
                self._said.setdefault(_key(message), []).append(message)

    def remove(self, said: Sequence[Message], call_ids: Sequence[str]) -> None:
        """Forget an answer."""
        for call_id in call_ids:
            self._calls.pop(call_id, None)
        for message in said:
            same = self._said.get(_key(message), [])
            same[:] = [one for one in same if one is not message]
            if not same:
                self._said.pop(_key(message), None)

    def call(self, call_id: str, name: str, raw: str) -> KnownCall | None:
        """The call of this id, where it still says what was said."""
        known = self._calls.get(call_id)
        if known is None or known.message.recipient not in (f"functions.{name}", name):
            return None
        return known if is_same_json(known.message.content, raw) else None

    def name_of(self, call_id: str) -> str:
        """The function that the call of this id called; '' for an unknown one."""
        known = self._calls.get(call_id)
        return function_name(known.message.recipient or "") if known else ""

    def text(self, channel: str, text: str) -> Message | None:
        """What was said in `channel` with exactly this text."""
        same = self._said.get((channel, text))
        return same[-1] if same else None


def _key(message: Message) -> tuple[str, str]:
    return message.channel or "", message.content


def sealed(ids: Sequence[int]) -> str:
    """Token ids as text that a caller keeps and sends back."""
    packed = zlib.compress(struct.pack(f"<{len(ids)}I", *ids))
    return MARK + base64.b64encode(packed).decode()


def opened(text: Any, codec: HarmonyCodec) -> Message | None:
    """The thought in a caller's `encrypted_content`; None where it holds none of ours.

    It is untrusted: it counts only where its tokens are one whole thought of the assistant.
    """
    if not isinstance(text, str) or not text.startswith(MARK):
        return None
    try:
        unpacker = zlib.decompressobj()
        packed = unpacker.decompress(base64.b64decode(text[len(MARK) :]), MOST_BYTES)
        ids = struct.unpack(f"<{len(packed) // 4}I", packed)
    except (binascii.Error, zlib.error, struct.error, ValueError):
        return None
    header = (codec.special["start"], *codec.encode("assistant"))
    if ids[: len(header)] != header or not all(map(codec.token_bytes, ids)):
        return None
    messages = with_ids(parsed(ids[len(header) :], codec).messages, ids[len(header) :], codec)
    is_thought = len(messages) == 1 and messages[0].channel == "analysis" and messages[0].ids
    return messages[0] if is_thought and not messages[0].recipient else None
