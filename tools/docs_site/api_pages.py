"""Reference pages of the Python API: signatures, docstrings, fields, and the errors by name."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from tools.docs_site.markdown import code, plain, prose, shown_default, signature, table

FOLDER = "reference/api"
ERRORS = """
Each is one line: what was given, what is wrong, what to do. In a notebook `%gptoss traceback` shows
the rest. Every class is of this tree, and of one of Python's own, so that code which knows nothing
of this package can catch it.
"""
TITLES = {  # of a page, by the first part of the room that a name is of
    "turns": "Load, ask, change",
    "records": "Records",
    "studies": "Tune, measure, study",
    "tuning": "What fits a card",
    "retrieval": "Retrieval",
    "agents": "Tools",
    "sharing": "Share and repeat",
    "serving": "Serve and connect",
    "extension": "The extension",
}


def rooms() -> dict[str, list[str]]:
    """{first part of a room: public names}, without the errors, which have a page of their own."""
    import gptoss_magic

    found: dict[str, list[str]] = {}
    for name in gptoss_magic.__all__:
        room = gptoss_magic._ROOM_OF.get(name, "records").partition(".")[0]
        if room != "errors":
            found.setdefault(room, []).append(name)
    order = [*TITLES, *(room for room in found if room not in TITLES)]
    return {room: found[room] for room in order if room in found}


def api_pages() -> dict[str, str]:
    """{address below docs: Markdown} of a page for each room, one of all names, one of errors."""
    import gptoss_magic

    pages, rows = {}, []
    for room, names in rooms().items():
        parts = [f"# {TITLES.get(room, room.title())}", *(entry(name) for name in names)]
        pages[f"{FOLDER}/{room}.md"] = "\n\n".join(parts) + "\n"
        rows += [
            (f"[`{name}`]({room}.md#{anchor(name)})", plain(summary(getattr(gptoss_magic, name))))
            for name in names
        ]
    head = (
        "# Python API\n\nAll that the magics do, without IPython: `import gptoss_magic`. Each "
        "function checks what it is given at its door and says in one line what is wrong; errors "
        "are [one tree](errors.md). Sizes are in tokens unless a name says otherwise, seconds end "
        "in `_s`, and `[T, H]` in a docstring is the shape of a tensor.\n\n"
    )
    pages[f"{FOLDER}/index.md"] = head + table(("name", "what it is"), rows) + "\n"
    return pages | {f"{FOLDER}/errors.md": errors_page()}


def anchor(name: str) -> str:
    """The heading's id, which is said since two names may differ by case alone."""
    return f"gptoss_magic.{name}"


def summary(value: Any) -> str:
    """The docstring's first sentence, without the marks of code."""
    text = inspect.getdoc(value) or ""
    first = text.split("\n\n")[0].replace("\n", " ").replace("`", "")
    return re.split(r"(?<=\w\.)\s|(?<=\)\.)\s", first)[0]


def entry(name: str) -> str:
    """One public name: how it is called or made, what it says of itself, its fields and methods."""
    import gptoss_magic

    value = getattr(gptoss_magic, name)
    parts = [f"## {name} {{ #{anchor(name)} }}"]
    if inspect.isclass(value):
        parts += _class_parts(name, value)
    else:
        parts.append(f"```python\n{signature(name, value)}\n```")
        parts.append(prose(inspect.getdoc(value) or ""))
    return "\n\n".join(filter(None, parts))


def _class_parts(name: str, kind: Any) -> list[str]:
    parts = [prose(_own_doc(kind))]
    if dataclasses.is_dataclass(kind):
        rows = [
            (code(one.name), code(one.type), code(_default(one)))
            for one in dataclasses.fields(kind)
            if not one.name.startswith("_")
        ]
        parts.append(table(("field", "type", "default"), rows))
    for member, value in vars(kind).items():
        if member.startswith("_"):
            continue
        about = prose(inspect.getdoc(value) or "")
        if isinstance(value, property):
            parts.append(f"**`{name}.{member}`** · {about}" if about else f"**`{name}.{member}`**")
        elif isinstance(value, (classmethod, staticmethod)) or inspect.isfunction(value):
            function = getattr(kind, member)
            parts += [f"```python\n{name}.{signature(member, function)}\n```", about]
    return parts


def _own_doc(kind: Any) -> str:
    """The class's docstring; '' where it is the signature that a dataclass writes for itself."""
    text = inspect.getdoc(kind) or ""
    return "" if text.startswith(f"{kind.__name__}(") else text


def _default(one: Any) -> str:
    if one.default is not dataclasses.MISSING:
        return shown_default(one.default)
    if one.default_factory is not dataclasses.MISSING:
        return f"{shown_default(one.default_factory)}()"
    return ""


def errors_page() -> str:
    """The tree, each class, and who raises it as the docstrings say."""
    from gptoss_magic import errors

    tree = (errors.__doc__ or "").partition("\n\n")[2].rstrip()
    parts = [
        "# Errors",
        ERRORS.strip(),
        f"```text\n{tree}\n```",
    ]
    for kind in error_classes():
        theirs = ", ".join(
            code(base.__name__) for base in kind.__bases__ if base is not errors.GptOssError
        )
        parts.append(f"## {kind.__name__} {{ #{anchor(kind.__name__)} }}")
        parts.append(f"{prose(inspect.getdoc(kind) or '')} Also: {theirs}.")
        if raisers := _raisers(kind.__name__):
            parts.append("Raised by " + ", ".join(raisers) + ".")
    return "\n\n".join(parts) + "\n"


def error_classes() -> list[Any]:
    """Those that errors.py defines, in its order."""
    from gptoss_magic import errors

    return [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.GptOssError)
    ]


def _raisers(error: str) -> list[str]:
    """Links to the public functions whose docstrings name the error."""
    import gptoss_magic

    return [
        f"[`{name}`]({room}.md#{anchor(name)})"
        for room, names in rooms().items()
        for name in names
        if inspect.isfunction(value := getattr(gptoss_magic, name))
        and re.search(rf"\b{error}\b", inspect.getdoc(value) or "")
    ]
