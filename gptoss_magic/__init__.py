"""gptoss_magic: a Jupyter workbench for gpt-oss. `%load_ext gptoss_magic`, then `%%gptoss`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptoss_magic.agents.tools import Tool, tool
    from gptoss_magic.api import generate, load, map, unload  # noqa: A004 (what it does)
    from gptoss_magic.extension import load_ipython_extension, unload_ipython_extension
    from gptoss_magic.records import (
        Answer,
        Citation,
        Mapped,
        Message,
        Passage,
        ToolCall,
        ToolSpec,
        Usage,
    )
    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.study.routing import compare_routing, score_routing

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Citation",
    "Index",
    "Mapped",
    "Message",
    "Passage",
    "Tool",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "compare_routing",
    "generate",
    "load",
    "load_ipython_extension",
    "map",
    "score_routing",
    "tool",
    "unload",
    "unload_ipython_extension",
]
_ROOMS = {"generate": "api", "load": "api", "map": "api", "unload": "api"}
_ROOMS |= {"Tool": "agents.tools", "tool": "agents.tools"}
_ROOMS["Index"] = "retrieval.index"
_ROOMS |= dict.fromkeys(("compare_routing", "score_routing"), "study.routing")
_ROOMS |= dict.fromkeys(("load_ipython_extension", "unload_ipython_extension"), "extension")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'records')}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
