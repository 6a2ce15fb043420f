"""What a call of an MCP tool gave, as text: every kind of content, and structured content."""

from __future__ import annotations

import json
from typing import Any

FRAME = ("content", "structuredContent", "isError", "_meta", "resultType")


def text_of(result: dict[str, Any]) -> str:
    """The text of a `tools/call` result as it came, before anything validated it.

    Structured content is written as JSON where the other content does not say it already. What is
    no text is named, with its type and size in bytes.
    """
    content = result.get("content")
    if isinstance(content, (str, dict)):
        content = [content]
    blocks = [_block(one) for one in content] if isinstance(content, list) else []
    structured = result.get("structuredContent")
    if structured is None and not blocks:  # a server of before 2024-11-05 gives `toolResult`
        structured = {key: value for key, value in result.items() if key not in FRAME} or None
    if structured is not None and not _says(blocks, structured):
        blocks.append(_json(structured))
    return "\n".join(filter(None, blocks))


def _block(block: Any) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        return _json(block)
    if isinstance(block.get("text"), str):
        return str(block["text"])
    kind = str(block.get("type", "data"))
    if kind == "resource_link":
        return f"[link: {_words(block, 'uri', 'name', 'title', 'description', 'mimeType')}]"
    resource = block.get("resource")
    if isinstance(resource, dict):
        about = f"[resource: {_words(resource, 'uri', 'mimeType')}]"
        text = resource.get("text")
        return f"{about}\n{text}" if isinstance(text, str) else _unshown(about, resource)
    return _unshown(f"[{_words({'type': kind, **block}, 'type', 'mimeType', 'uri')}]", block)


def _unshown(about: str, block: dict[str, Any]) -> str:
    """The words on what is no text, with its size; base64 has four letters for three bytes."""
    data = block.get("data", block.get("blob"))
    size = f", {len(data.rstrip('=')) * 3 // 4:,} bytes" if isinstance(data, str) else ""
    return f"{about[:-1]}{size}: not shown]"


def _words(block: dict[str, Any], *keys: str) -> str:
    return ", ".join(str(block[key]) for key in keys if block.get(key))


def _says(blocks: list[str], structured: Any) -> bool:
    """True where the blocks are the structured value, or its only field, or the items of it."""
    values = [structured]
    if isinstance(structured, dict) and len(structured) == 1:
        values += structured.values()
    said = [_value(block) for block in blocks]
    return any(said == [value] or (bool(said) and said == value) for value in map(_plain, values))


def _plain(value: Any) -> Any:
    """A text as the blocks would be read."""
    if isinstance(value, list):
        return [_value(one) if isinstance(one, str) else one for one in value]
    return _value(value) if isinstance(value, str) else value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
