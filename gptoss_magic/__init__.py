"""gptoss_magic: a Jupyter workbench for gpt-oss. `%load_ext gptoss_magic`, then `%%gptoss`.

All that the magics do can be done in a script: see `__all__`. Every error is a `GptOssError`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptoss_magic.agents.consent import by_policy
    from gptoss_magic.agents.tools import Tool, tool
    from gptoss_magic.errors import (
        CheckpointError,
        ContextOverflow,
        DoesNotFit,
        GptOssError,
        InputError,
        LaunchError,
        MissingPackage,
        NotLoaded,
        ServerError,
        StorageError,
        UnexpectedError,
    )
    from gptoss_magic.extension import load_ipython_extension, unload_ipython_extension
    from gptoss_magic.records import (
        Answer,
        AnswerToken,
        Citation,
        Limits,
        Listener,
        Mapped,
        Message,
        Passage,
        Request,
        SamplingSettings,
        Step,
        ToolCall,
        ToolSpec,
        Turn,
        Usage,
    )
    from gptoss_magic.records.depth import Depth
    from gptoss_magic.records.evaluations import Evaluated
    from gptoss_magic.records.goals import Goal, GoalBoard
    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.retrieval.script import evaluate_retrieval, index, search
    from gptoss_magic.serving.remote.connect import connect
    from gptoss_magic.serving.server import Service, serve
    from gptoss_magic.sharing.bundle.check import Difference, check_bundle
    from gptoss_magic.sharing.bundle.pack import share
    from gptoss_magic.sharing.bundle.plan import SharePlan
    from gptoss_magic.sharing.bundle.unpack import open_bundle
    from gptoss_magic.sharing.page import page
    from gptoss_magic.sharing.replay import Replayed, replay
    from gptoss_magic.studies.depth.study import depth
    from gptoss_magic.studies.evaluate import evaluate
    from gptoss_magic.studies.routing import compare_routing, score_routing
    from gptoss_magic.studies.tune import tune
    from gptoss_magic.tuning.recipe import Recipe, recipe
    from gptoss_magic.turns import (
        Axes,
        answer,
        bench,
        compare,
        generate,
        grid,
        load,
        map,  # noqa: A004 (what it does)
        respond,
        settle,
        unload,
    )
    from gptoss_magic.turns.browser import browser
    from gptoss_magic.turns.goals.rows import goal_rows
    from gptoss_magic.turns.goals.script import goal, goals
    from gptoss_magic.turns.loading import attach, detach, use
    from gptoss_magic.turns.python_tool import python_tool
    from gptoss_magic.turns.surgery import branch, refine, tokens

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "AnswerToken",
    "Axes",
    "CheckpointError",
    "Citation",
    "ContextOverflow",
    "Depth",
    "Difference",
    "DoesNotFit",
    "Evaluated",
    "Goal",
    "GoalBoard",
    "GptOssError",
    "Index",
    "InputError",
    "LaunchError",
    "Limits",
    "Listener",
    "Mapped",
    "Message",
    "MissingPackage",
    "NotLoaded",
    "Passage",
    "Recipe",
    "Replayed",
    "Request",
    "SamplingSettings",
    "ServerError",
    "Service",
    "SharePlan",
    "Step",
    "StorageError",
    "Tool",
    "ToolCall",
    "ToolSpec",
    "Turn",
    "UnexpectedError",
    "Usage",
    "answer",
    "attach",
    "bench",
    "branch",
    "browser",
    "by_policy",
    "check_bundle",
    "compare",
    "compare_routing",
    "connect",
    "depth",
    "detach",
    "evaluate",
    "evaluate_retrieval",
    "generate",
    "goal",
    "goal_rows",
    "goals",
    "grid",
    "index",
    "load",
    "load_ipython_extension",
    "map",
    "open_bundle",
    "page",
    "python_tool",
    "recipe",
    "refine",
    "replay",
    "respond",
    "score_routing",
    "search",
    "serve",
    "settle",
    "share",
    "tokens",
    "tool",
    "tune",
    "unload",
    "unload_ipython_extension",
    "use",
]
_ROOMS = {
    "agents.consent": ("by_policy",),
    "agents.tools": ("Tool", "tool"),
    "errors": (
        *("CheckpointError", "ContextOverflow", "DoesNotFit", "GptOssError", "InputError"),
        *("LaunchError", "MissingPackage", "NotLoaded", "ServerError", "StorageError"),
        "UnexpectedError",
    ),
    "extension": ("load_ipython_extension", "unload_ipython_extension"),
    "records.depth": ("Depth",),
    "records.evaluations": ("Evaluated",),
    "records.goals": ("Goal", "GoalBoard"),
    "retrieval.index": ("Index",),
    "retrieval.script": ("evaluate_retrieval", "index", "search"),
    "studies.tune": ("tune",),
    "serving.remote.connect": ("connect",),
    "serving.server": ("Service", "serve"),
    "sharing.page": ("page",),
    "sharing.bundle.check": ("Difference", "check_bundle"),
    "sharing.bundle.pack": ("share",),
    "sharing.bundle.plan": ("SharePlan",),
    "sharing.bundle.unpack": ("open_bundle",),
    "sharing.replay": ("Replayed", "replay"),
    "studies.depth.study": ("depth",),
    "studies.evaluate": ("evaluate",),
    "studies.routing": ("compare_routing", "score_routing"),
    "tuning.recipe": ("Recipe", "recipe"),
    "turns": (
        *("Axes", "answer", "bench", "compare", "generate", "grid", "load", "map", "respond"),
        *("settle", "unload"),
    ),
    "turns.browser": ("browser",),
    "turns.goals.rows": ("goal_rows",),
    "turns.goals.script": ("goal", "goals"),
    "turns.loading": ("attach", "detach", "use"),
    "turns.python_tool": ("python_tool",),
    "turns.surgery": ("branch", "refine", "tokens"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM_OF.get(name, 'records')}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
