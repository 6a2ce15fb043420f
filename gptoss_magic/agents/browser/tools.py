"""`browser.search`, `.open` and `.find` as tools, declared as gpt-oss knows them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.browser.browse import Browse
from gptoss_magic.agents.tools import Tool
from gptoss_magic.errors import GptOssError, InputError
from gptoss_magic.quoting import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.agents.browser.view import Widths
    from gptoss_magic.records import OpenPage, PageSource

# the words of openai-harmony 0.0.8's `ToolNamespaceConfig.browser()`
ABOUT = """\
Tool for browsing.
The `cursor` appears in brackets before each browsing display: `[{cursor}]`.
Cite information from the tool using the following format:
`【{cursor}†L{line_start}(-L{line_end})?】`, for example: `【6†L9-L11】` or `【8†L3】`.
Do not quote more than 10 words directly from the tool output.
sources="""
SEARCH = "Searches for information related to `query` and displays `topn` results."
OPEN = """\
Opens the link `id` from the page indicated by `cursor` starting at line number `loc`, showing \
`num_lines` lines.
Valid link ids are displayed with the formatting: `【{id}†.*】`.
If `cursor` is not provided, the most recent page is implied.
If `id` is a string, it is treated as a fully qualified URL associated with `source`.
If `loc` is not provided, the viewport will be positioned at the beginning of the document or \
centered on the most relevant passage, if available.
Use this function without `id` to scroll to a new location of an opened page."""
FIND = "Finds exact matches of `pattern` in the current page, or the page given by `cursor`."

TEXT, NUMBER = {"type": "string"}, {"type": "number", "default": -1}
FIELDS: dict[str, dict[str, Any]] = {
    "search": {"query": TEXT, "topn": {"type": "number", "default": 10}, "source": TEXT},
    "open": {
        "id": {"type": ["number", "string"], "default": -1},
        "cursor": NUMBER,
        "loc": NUMBER,
        "num_lines": NUMBER,
        "view_source": {"type": "boolean", "default": False},
        "source": TEXT,
    },
    "find": {"pattern": TEXT, "cursor": NUMBER},
}
SHOWS = "built in; shows what is open already"
NEEDED = {"search": "query", "find": "pattern"}
ALSO = {"top_n": "topn"}
NUMERAL = re.compile(r"\s*-?[0-9]{1,9}\s*")


def browser_tools(sources: Sequence[PageSource], widths: Widths) -> list[Tool]:
    """The three tools over `sources`; see `Browse`. Raises InputError without a source."""
    if not sources:
        raise InputError("browser: name a source: browser:INDEX, browser:FOLDER, browser:notebook")
    names = [source.name for source in sources]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(f"browser: the source {twice} is given twice; leave one")
    browse, offer = Browse(tuple(sources), widths), f"browser:{','.join(names)}"
    default = names[0] if len(names) == 1 else "all"
    space = f"{ABOUT}{', '.join(map(one_line, names))} (default: {default})"

    def made(name: str, about: str, function: Callable[..., Any], ask: Any = None) -> Tool:
        return Tool(
            f"browser.{name}",
            about,
            _schema(name),
            function,
            "ask",
            _origin(offer),
            partial(_checked, name),
            space=space,
            sees_pages=True,
            offer=offer,
            asked_for=ask,
        )

    return [
        made("search", SEARCH, browse.search),
        made("open", OPEN, browse.open, partial(_asked_for, browse)),
        made("find", FIND, browse.find),
    ]


def _origin(offer: str) -> str:
    return f"built in; reads {offer.partition(':')[2]}"


def _asked_for(
    browse: Browse, tool: Tool, arguments: Mapping[str, Any], pages: Sequence[OpenPage]
) -> tuple[Tool, str]:
    """The tool as this call needs it, and what the call reads.

    Each source has a consent of its own, and so has another look at what is open: "always" for one
    says nothing of a host.
    """
    if tool.policy == "never":
        return tool, ""
    try:
        target = browse.target(
            pages,
            arguments.get("id", -1),
            arguments.get("cursor", -1),
            is_raw=bool(arguments.get("view_source")),
        )
        source = browse.owner(target.url) if target.page is None else None
    except GptOssError:
        source = None  # it opens nothing, and says why when it runs
    if source is None:
        return replace(tool, origin=SHOWS), ""
    offer = f"browser:{source.name}"
    return replace(tool, origin=_origin(offer), offer=offer), f"reads {target.url}"


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": FIELDS[name]}
    return {**schema, "required": [NEEDED[name]]} if name in NEEDED else schema


def _checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by kind. Raises ValueError with words for the model."""
    fields = FIELDS[name]
    checked: dict[str, Any] = {}
    for key, value in given.items():
        field = ALSO.get(key, key)
        if field not in fields:
            raise ValueError(f"no argument {one_line(key, 60)}; there are {', '.join(fields)}")
        if value is not None:
            checked[field] = _value(field, fields[field]["type"], value)
    needed = NEEDED.get(name)
    if needed and not str(checked.get(needed, "")).strip():
        raise ValueError(f"`{needed}` is missing: give a text")
    return checked


def _value(field: str, kind: str | list[str], value: Any) -> Any:
    if kind == "boolean":
        return value in (True, "true")
    if kind == "string":
        return value if isinstance(value, str) else str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and NUMERAL.fullmatch(value):
        return int(value)  # a link's number, or a cursor, in quotes
    if isinstance(kind, list) and isinstance(value, str):
        return value
    raise ValueError(f"`{field}` should be an integer, not `{type(value).__name__}`")
