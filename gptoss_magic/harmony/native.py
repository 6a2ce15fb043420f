"""The tools that gpt-oss knows by heart, as the system message declares them.

Token for token what openai-harmony 0.0.8 writes for `ToolNamespaceConfig`: the namespace's words as
comments, then a type for each of its tools; of one without functions its words alone.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from gptoss_magic.harmony.schema import definition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gptoss_magic.records import ToolSpec


def tools_section(specs: Sequence[ToolSpec]) -> str:
    """`# Tools` with a section for each namespace, by name; '' without tools."""
    by_space = sorted(specs, key=space_of)  # stable: the tools of one stay in order
    sections = [_section(name, list(tools)) for name, tools in groupby(by_space, space_of)]
    return "\n\n".join(["# Tools", *sections]) if sections else ""


def space_of(spec: ToolSpec) -> str:
    """The namespace of a tool: `browser` of `browser.search`."""
    return spec.name.partition(".")[0]


def _section(name: str, specs: Sequence[ToolSpec]) -> str:
    if specs[0].name == name:  # it has no functions
        return f"## {name}\n\n{specs[0].space}"
    about = "\n".join(f"// {line}" for line in specs[0].space.splitlines())
    defined = "".join(_defined(specs))
    return f"## {name}\n\n{about}\nnamespace {name} {{\n\n{defined}}} // namespace {name}"


def _defined(specs: Sequence[ToolSpec]) -> Iterable[str]:
    return (definition(replace(spec, name=spec.name.partition(".")[2])) for spec in specs)
