"""Which way conversations are rendered, as a short digest."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from gptoss_magic.harmony.render import SystemSettings, developer_message, render, system_message
from gptoss_magic.records import Message, ToolSpec

if TYPE_CHECKING:
    from gptoss_magic.harmony.codec import HarmonyCodec

TOOL = ToolSpec(
    "look", "Looks.", {"type": "object", "properties": {"at": {"type": ["string", "null"]}}}
)
CONVERSATION = (
    system_message(SystemSettings(current_date="2025-08-05", has_tools=True)),
    developer_message("Be brief.", [TOOL], {"Form": {"type": "object"}}),
    Message("user", "Где луна? 🌙"),
    Message("assistant", "I look.", "analysis"),
    Message("assistant", '{"at":"up"}', "commentary", "functions.look", "json"),
    Message("tool", "full", "commentary", "assistant", author="functions.look"),
    Message("assistant", "Full.", "final"),
)


def template_digest(codec: HarmonyCodec) -> str:
    """16 hexadecimal digits that follow the format's rendering here, and the tokenizer."""
    ids = render(CONVERSATION, codec)
    return sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]
