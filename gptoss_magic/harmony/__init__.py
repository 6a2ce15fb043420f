"""Harmony: render messages to tokens, parse tokens to messages, keep conversations."""

from gptoss_magic.harmony.codec import HarmonyCodec
from gptoss_magic.harmony.conversation import prune
from gptoss_magic.harmony.parse import HarmonyParser, parse
from gptoss_magic.harmony.render import (
    SystemSettings,
    developer_message,
    render,
    system_message,
)

__all__ = [
    "HarmonyCodec",
    "HarmonyParser",
    "SystemSettings",
    "developer_message",
    "parse",
    "prune",
    "render",
    "system_message",
]
