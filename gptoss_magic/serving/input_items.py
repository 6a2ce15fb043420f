"""The input of /v1/responses as a conversation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.serving.body import Body
from gptoss_magic.serving.exact import opened
from gptoss_magic.serving.faults import ApiError
from gptoss_magic.serving.told import Told, arguments_of, text_of
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Callable

    Lookup = Callable[[str], dict[str, Any] | None]

ROLES = ("user", "system", "developer")


def as_items(body: Body) -> list[dict[str, Any]]:
    """The input as a list of items. Raises ApiError."""
    value = body.raw("input")
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    return [one.value for one in body.objects("input")]


def tell(items: list[dict[str, Any]], told: Told, lookup: Lookup) -> list[str]:
    """Tell `told` all items; gives warnings for kinds that are left out. Raises ApiError.

    `lookup` finds an item that was given or sent before by its id.
    """
    warnings = []
    for place, value in enumerate(items):
        item = Body(value, f"input[{place}]")
        if item.text("type") == "item_reference":
            item = _referred(item, lookup)
        kind = item.text("type", "message")
        teller = TELLERS.get(kind)
        if teller is None:
            warnings.append(f"input item of type {kind} left out")
        else:
            teller(item, told)
    return list(dict.fromkeys(warnings))


def _referred(item: Body, lookup: Lookup) -> Body:
    name = item.text("id", is_needed=True)
    value = lookup(name)
    if value is None:
        raise ApiError(
            404, f"item {name!r} is not known here: send the item itself", param=item.path
        )
    return Body(value, item.path)


def _message(item: Body, told: Told) -> None:
    role = item.word("role", (*ROLES, "assistant"), "user")
    text = text_of(item, "content")
    if role == "assistant":
        told.answer(text, "commentary" if item.text("phase") == "commentary" else "final")
    else:
        told.say(role, text)


def _reasoning(item: Body, told: Told) -> None:
    said = text_of(item, "content") or text_of(item, "summary")
    known = opened(item.raw("encrypted_content"), current().codec)
    told.thought("" if known and not text_of(item, "content") else said, known)


def _function_call(item: Body, told: Told) -> None:
    name, namespace = item.text("name", is_needed=True), item.text("namespace")
    told_name = f"{namespace}__{name}" if namespace else name
    told.call(item.text("call_id", item.text("id")), told_name, arguments_of(item))


def _custom_call(item: Body, told: Told) -> None:
    raw = json.dumps({"input": item.text("input")}, ensure_ascii=False)
    told.call(item.text("call_id", item.text("id")), item.text("name", is_needed=True), raw)


def _result(item: Body, told: Told) -> None:
    output = item.raw("output")
    is_text = output is None or isinstance(output, (str, list))
    text = text_of(item, "output") if is_text else json.dumps(output, ensure_ascii=False)
    call_id = item.text("call_id", is_needed=True)
    told.result(call_id, text, told.exact.name_of(call_id))


TELLERS: dict[str, Callable[[Body, Told], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_call,
    "function_call_output": _result,
    "custom_tool_call_output": _result,
}
