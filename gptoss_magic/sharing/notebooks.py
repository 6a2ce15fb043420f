"""A notebook of anybody's as JSON: what is there and of the right type, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "gptoss_magic"  # in an output's metadata
MIME = "application/vnd.gptoss.answer+json"


def member(holder: Any, name: str) -> dict[str, Any]:
    """The object that `holder` has by this name; {} where there is none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, dict) else {}


def cells_of(notebook: Mapping[str, Any]) -> list[Any]:
    """Its cells, whatever they are; [] where it has no list of them."""
    cells = notebook.get("cells")
    return cells if isinstance(cells, list) else []


def outputs_of(cell: Any) -> list[dict[str, Any]]:
    """The outputs of a cell that are objects."""
    outputs = cell.get("outputs") if isinstance(cell, dict) else None
    return [one for one in outputs if isinstance(one, dict)] if isinstance(outputs, list) else []


def source_of(cell: Mapping[str, Any]) -> str:
    """A cell's text, which may be a list of lines."""
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def answer_in(output: Mapping[str, Any]) -> dict[str, Any]:
    """The answer's own MIME type among an output's forms; {} where it is not there."""
    return member(output.get("data"), MIME)


def record_in(output: Mapping[str, Any]) -> dict[str, Any]:
    """From the output's metadata, or from the answer beside it (Colab rewrites metadata)."""
    return member(output.get("metadata"), KEY) or member(answer_in(output), "record")
