"""gptoss_magic: a Jupyter workbench for gpt-oss. `%load_ext gptoss_magic`, then `%%gptoss`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptoss_magic.agents.tools import Tool, tool
    from gptoss_magic.extension import load_ipython_extension, unload_ipython_extension
    from gptoss_magic.records import (
        Answer,
        AnswerToken,
        Citation,
        Mapped,
        Message,
        Passage,
        Step,
        ToolCall,
        ToolSpec,
        Usage,
    )
    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.studies.routing import compare_routing, score_routing
    from gptoss_magic.turns import generate, load, map, unload  # noqa: A004 (what it does)
    from gptoss_magic.turns.surgery import branch, refine, tokens

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "AnswerToken",
    "Citation",
    "Index",
    "Mapped",
    "Message",
    "Passage",
    "Step",
    "Tool",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "branch",
    "compare_routing",
    "generate",
    "load",
    "load_ipython_extension",
    "map",
    "refine",
    "score_routing",
    "tokens",
    "tool",
    "unload",
    "unload_ipython_extension",
]
_ROOMS = {"generate": "turns", "load": "turns", "map": "turns", "unload": "turns"}
_ROOMS |= {"Tool": "agents.tools", "tool": "agents.tools"}
_ROOMS |= dict.fromkeys(("branch", "refine", "tokens"), "turns.surgery")
_ROOMS["Index"] = "retrieval.index"
_ROOMS |= dict.fromkeys(("compare_routing", "score_routing"), "studies.routing")
_ROOMS |= dict.fromkeys(("load_ipython_extension", "unload_ipython_extension"), "extension")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'records')}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
