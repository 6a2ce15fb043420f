"""Tools that a caller offers: what the model is told of them, and how its calls go back.

A function is told as it is. A custom tool, whose input is free text, is told as a function of one
text. The tools of a namespace are told as `namespace__name`. Kinds that run at the provider are
left out, with a warning.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gptoss_magic.records import ToolSpec
from gptoss_magic.serving.faults import ApiError

if TYPE_CHECKING:
    from gptoss_magic.serving.body import Body

INPUT = "input"
NAME = re.compile(r"[A-Za-z0-9_.\-]{1,256}")
CUSTOM = {
    "type": "object",
    "properties": {INPUT: {"type": "string", "description": "The whole input, as plain text."}},
    "required": [INPUT],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Offered:
    """One tool. `name` and `namespace` are the caller's, `spec.name` the model's."""

    spec: ToolSpec
    name: str
    namespace: str = ""
    is_custom: bool = False

    def text_of(self, raw: str) -> str:
        """A custom tool's input, of the call's arguments; as they are where they hold none."""
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            return raw
        inner = value.get(INPUT) if isinstance(value, dict) else None
        return inner if isinstance(inner, str) else raw


@dataclass(frozen=True)
class Offers:
    """The tools of one request. `must_call`: the names, the model's, one of which it must call."""

    tools: tuple[Offered, ...] = ()
    must_call: tuple[str, ...] = ()
    is_hidden: bool = False
    warnings: tuple[str, ...] = field(default=())

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told."""
        return () if self.is_hidden else tuple(tool.spec for tool in self.tools)

    def called(self, name: str) -> Offered:
        """The tool that the model means; one of that name where none was offered."""
        for tool in self.tools:
            if tool.spec.name == name:
                return tool
        return Offered(ToolSpec(name), name)


def read_offers(body: Body, *, is_chat: bool) -> Offers:
    """The `tools` and the `tool_choice` of a request. Raises ApiError."""
    tools: list[Offered] = []
    warnings: list[str] = []
    for tool in body.objects("tools"):
        tools += _read(tool, warnings, is_chat=is_chat)
    names = [tool.spec.name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise ApiError(400, f"tool {name}: given twice: leave one", param="tools")
    allowed, must_call, is_hidden = _choice(body, tools)
    return Offers(tuple(allowed), must_call, is_hidden, tuple(dict.fromkeys(warnings)))


def _read(tool: Body, warnings: list[str], *, is_chat: bool, namespace: str = "") -> list[Offered]:
    kind = tool.text("type", "function")
    if kind == "namespace":
        inner = list(tool.objects("tools"))
        space = tool.text("name", is_needed=True)
        return [
            one for each in inner for one in _read(each, warnings, is_chat=is_chat, namespace=space)
        ]
    if kind not in ("function", "custom"):
        warnings.append(f"tool type {kind} is not offered here; left out")
        return []
    about = (tool.inner(kind) if is_chat else None) or tool
    name = about.text("name", is_needed=True)
    if not NAME.fullmatch(name) and not name.isidentifier():
        raise about.fault("name", "letters, digits, '_', '-' and '.'", name)
    told = f"{namespace}__{name}" if namespace else name
    if kind == "custom":
        spec = ToolSpec(told, _about(about), CUSTOM)
        return [Offered(spec, name, namespace, is_custom=True)]
    parameters = about.inner("parameters")
    spec = ToolSpec(told, about.text("description"), parameters.value if parameters else {})
    return [Offered(spec, name, namespace)]


def _about(tool: Body) -> str:
    """The description of a custom tool, with the grammar that its input is to follow."""
    form = tool.inner("format")
    grammar = form.text("definition") if form else ""
    if form and not grammar:  # the chat form has it one level further in
        inner = form.inner("grammar")
        grammar = inner.text("definition") if inner else ""
    said = tool.text("description")
    return f"{said}\n\nThe input's grammar:\n{grammar}".strip() if grammar else said


def _choice(body: Body, tools: list[Offered]) -> tuple[list[Offered], tuple[str, ...], bool]:
    """(the tools that may be called, those that must be, whether the model sees none)."""
    choice = body.raw("tool_choice")
    if choice is None or choice == "auto":
        return tools, (), False
    if choice == "none":
        return tools, (), True
    if choice == "required":
        return tools, _all(tools, "required"), False
    asked = body.inner("tool_choice") if isinstance(choice, dict) else None
    if asked is None:
        raise body.fault("tool_choice", "auto, none, required or a tool's name", choice)
    if asked.text("type") == "allowed_tools":
        inner = asked.inner("allowed_tools") or asked
        names = [_name_in(one) for one in inner.objects("tools")]
        allowed = [tool for tool in tools if tool.name in names]
        is_needed = inner.text("mode", "auto") == "required"
        return allowed, _all(allowed, "required") if is_needed else (), False
    name = _name_in(asked)
    named = [tool for tool in tools if name in (tool.name, tool.spec.name)]
    return tools, _all(named, repr(name)), False


def _all(tools: list[Offered], choice: str) -> tuple[str, ...]:
    if not tools:
        raise ApiError(
            400,
            f"tool_choice is {choice}, but no such tool is offered: offer it in tools, or leave "
            "the choice out",
            param="tool_choice",
        )
    return tuple(tool.spec.name for tool in tools)


def _name_in(asked: Body) -> str:
    inner = asked.inner("function") or asked.inner("custom") or asked
    return inner.text("name", is_needed=True)
