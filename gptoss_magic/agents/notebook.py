"""The `notebook` tool: the cells that were run above, and what they gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.tools import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_CELLS = 30
MAX_OUTPUT = 1000


def notebook_tool(
    cells: Callable[[], Sequence[str]], outputs: Callable[[], Mapping[int, Any]]
) -> Tool:
    """A tool over `cells` (by number, the first is empty, the running one last) and `outputs`."""

    def notebook(last: int = 5) -> str:
        """Read the notebook's latest cells: code, prompts and results.

        Args:
            last: how many cells, at most 30

        """
        above, given = list(cells())[:-1], outputs()
        first = max(1, len(above) - max(1, min(last, MAX_CELLS)))
        shown = [_cell(n, above[n], given) for n in range(first, len(above))]
        return "\n\n".join(shown) or "There is no cell above."

    made = tool(notebook)
    origin = "built in; reads the cells of this notebook"
    return Tool("notebook", made.description, made.parameters, notebook, "ask", origin, made.check)


def _cell(number: int, source: str, outputs: Mapping[int, Any]) -> str:
    lines = [f"In [{number}]:", source.rstrip()]
    if number in outputs:
        lines += [f"Out[{number}]:", _short(repr(outputs[number]))]
    return "\n".join(lines)


def _short(text: str) -> str:
    return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]} […]"
