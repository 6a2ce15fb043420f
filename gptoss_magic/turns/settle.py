"""The only place that decides between the line, the notebook's defaults and the persona.

What it gives is a `Request`, settled: whoever reads that decides nothing again.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.layers import called_by, digest
from gptoss_magic.errors import InputError
from gptoss_magic.public import check_kind, public
from gptoss_magic.records import ExpertProbe, Limits, Request, SamplingSettings, Voice
from gptoss_magic.session import current
from gptoss_magic.vocabulary import EFFORT, SAMPLER, check_date, check_effort, check_known, today

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.records import Message, OfferedTool

    ToolNamed = Callable[[str, Voice], Sequence[Any]]

SAMPLING = (*SAMPLER, "stop")
NAMES = "str | Sequence[str]"
KINDS = {  # of each setting; None says nothing
    **dict.fromkeys(SAMPLER, "Any"),  # their ranges say it
    "stop": NAMES,
    "adapters": NAMES,
    "calls": "bool",
    "cold": "bool",
    "conversation": "str",
    "date": "Any",
    "effort": "Any",
    "force_experts": "str",
    "limits": "Limits",
    "mask_experts": "str",
    "new": "bool",
    "passages": "Sequence[Passage]",
    "persona": NAMES,
    "routing": "bool",
    "schema": "Any",
    "system": "str",
    "tools": "Sequence[Any]",
}
SETTINGS = tuple(KINDS)
NAMELESS = (
    "this front end does not say what the notebook is called, and another one of this folder must "
    "not share its memory: %gptoss memory on --as NAME"
)


@public
def settle(
    prompt: str = "",
    *,
    messages: Sequence[Message] = (),
    prompt_ids: Sequence[int] = (),
    kept_ids: Sequence[int] = (),
    own_text: str = "",
    defaults: Mapping[str, Any] | None = None,
    tool_named: ToolNamed | None = None,
    ready: Callable[[], object] | None = None,
    **line: Any,
) -> Request:
    """What the line says, else the persona, else `defaults`, else the built-in defaults.

    `line` and `defaults` have the names of `SETTINGS`; None says nothing. A persona's text takes
    the place of the defaults' system text; the line's stands below it. `persona`: names, or 'a+b';
    () is nobody. `own_text`: what the user typed, without what was put into it; signals of the
    persona are heard there alone. `tool_named(name, voice)`: the tools that the notebook knows by
    a name, the persona's names among them. All that can be refused without a model is refused
    before one is loaded by `ready` (None: what fits this machine). A temperature that nobody says
    is the checkpoint's, a seed is drawn, a date is today's.
    Raises InputError: an unknown name, with the nearest right one, and values that cannot be.
    """
    for given in (line, defaults or {}):
        check_known("setting", given, SETTINGS)
        for name, value in _without_none(given).items():
            check_kind(f"setting {name}", value, KINDS[name])
    names = tuple(_names(line.get("persona")) or ())
    layers = current().layers(names)
    persona, layers, signals = called_by(own_text, layers, current().layers)
    says = _merged(persona, defaults or {}, line)
    voice = _voice(persona, layers, names, says.get("system"))
    voice = replace(voice, heard=signals)
    conversation = _conversation(says.get("conversation"), voice.name)
    remembers, no_memory = _memory(persona, conversation)
    request = Request(
        prompt=prompt,
        messages=tuple(messages),
        prompt_ids=tuple(prompt_ids),
        kept_ids=tuple(kept_ids),
        voice=voice,
        effort=check_effort(says.get("effort", EFFORT)),
        date=check_date(says["date"]) if says.get("date") else today(),
        sampling=_sampling(says),
        adapters=current().adapters(_names(says.get("adapters"))),
        conversation=conversation,
        is_new=bool(says.get("new")),
        is_cold=bool(says.get("cold")),
        routing=bool(says.get("routing")),
        probe=ExpertProbe(says.get("mask_experts") or "", says.get("force_experts") or ""),
        schema=answer_form(says.get("schema")),
        tools=_tools(says.get("tools") or (), persona, voice, tool_named),
        limits=says.get("limits") or Limits(),
        passages=None if says.get("passages") is None else tuple(says["passages"]),
        remembers=remembers,
        no_memory=no_memory,
    )
    _check_numbers(request)
    (ready or current().ready)()
    return _for_model(request, says)


def answer_form(schema: Any) -> Any:
    """A JSON schema (a dict) or a pydantic model, made ready; None where none is given.

    Raises InputError, MissingPackage.
    """
    from gptoss_magic.turns.answer_schema import AnswerSchema

    if schema is None or isinstance(schema, AnswerSchema):
        return schema
    return AnswerSchema(schema)


def specs_of(tools: Sequence[OfferedTool]) -> list[Any]:
    """What the model is told of `tools`. Raises InputError for two of one name."""
    specs = [tool.spec for tool in tools]
    names = [(spec.name, bool(spec.space)) for spec in specs]
    for name, is_native in names:
        if names.count((name, is_native)) > 1:
            raise InputError(
                f"tool {name}: given twice; the model could not tell them apart: leave one out"
            )
    return specs


def _check_numbers(request: Request) -> None:
    """Raise InputError where two kinds of sources would be cited by the same numbers."""
    names = [tool.spec.name for tool in request.tools]
    is_browsing = any(name.startswith("browser.") for name in names)
    other = "passages" if request.passages is not None else ""
    other = "the tool search" if "search" in names else other
    if is_browsing and other:
        raise InputError(
            f"{other} and the browser number their sources differently: leave one of them out; "
            "browser:INDEX searches an index too"
        )


def notebook_name() -> str:
    """What this notebook is called in memory: as the user or VS Code said, else its path as the
    Jupyter server gives it to the kernel; '' where there is none.
    """
    path = os.environ.get("JPY_SESSION_NAME", "")
    is_folder = path.endswith(("/", os.sep))  # of a session that was started without a name
    return current().memory.notebook or ("" if is_folder else path)


def _for_model(request: Request, says: Mapping[str, Any]) -> Request:
    """What only a loaded model can say: its temperature, its adapters, what fits its tools."""
    session = current()
    adapters = session.adapters(_names(says.get("adapters")))
    temperature = says.get("temperature")
    if temperature is None:
        temperature = 0.0 if session.require().greedy else 1.0
    sampling = replace(request.sampling, temperature=temperature)
    can_call = bool(request.tools) or bool(says.get("calls"))
    _check_capable(request)
    return replace(request, adapters=adapters, sampling=sampling, can_call=can_call)


def _check_capable(request: Request) -> None:
    """Raise InputError for what the engine of the loaded model cannot do; see `Capabilities`."""
    can = current().engine.capabilities
    asked = (
        (request.routing, can.routing, "say where tokens go: leave --routing out"),
        (request.probe, can.routing, "leave out or force experts: leave the probe out"),
        (request.schema, can.grammar, "be held to a schema: leave --schema out"),
        (request.kept_ids, can.kept, "go on behind tokens of an answer: ask the prompt again"),
    )
    for is_asked, is_able, words in asked:
        if is_asked and not is_able:
            raise InputError(f"{current().name}: {_whose()} cannot {words}")


def _whose() -> str:
    remote = current().remote
    return f"it is at {remote.url}, not in this kernel, and" if remote else "its engine"


def _merged(
    persona: Persona, defaults: Mapping[str, Any], line: Mapping[str, Any]
) -> dict[str, Any]:
    """Each setting that anybody says, by name."""
    known = _without_none(defaults)
    if persona.instructions:
        known.pop("system", None)
    if persona.adapters is not None:
        known["adapters"] = persona.adapters or ("none",)
    return known | persona.settings | _without_none(line)


def _without_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _sampling(says: Mapping[str, Any]) -> SamplingSettings:
    given = {name: says[name] for name in SAMPLING if name in says}
    stop = given.get("stop", ())
    given["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    given.setdefault("seed", secrets.randbelow(2**31))
    return SamplingSettings(**given)


def _names(given: str | Sequence[str] | None) -> list[str] | None:
    """Names of 'a+b', or of a list."""
    if given is None:
        return None
    if isinstance(given, str):
        return [name.strip() for name in given.replace(",", "+").split("+") if name.strip()]
    return list(given)


def _voice(
    persona: Persona, layers: Sequence[Persona], names: tuple[str, ...], system: str | None
) -> Voice:
    if not layers:
        return Voice(system=system or "")
    return Voice(
        names=names,
        name=persona.name,
        text=persona.instructions,
        system=system or "",
        layers=tuple((layer.name, digest(layer)) for layer in layers),
        sha256=digest(persona),
        terms=persona.terms,
    )


def _conversation(name: str | None, persona: str) -> str:
    """What the conversation is called that this persona has of its own; '' keeps nothing."""
    if not name:
        return ""
    return f"{name} @ {persona}" if persona else name


def is_memory_wanted(persona: Persona) -> bool:
    """True where turns are to be remembered: the user's word counts before the persona's."""
    user = current().memory.is_on
    return persona.memory in ("on", "shared") if user is None else user


def _memory(persona: Persona, conversation: str) -> tuple[bool, str]:
    """(whether the turn remembers, why not where only the persona wished it).

    A turn that is not kept has no memory.
    """
    if not conversation or not is_memory_wanted(persona):
        return False, ""
    if current().memory.is_on is None and not notebook_name():
        return False, NAMELESS
    return True, ""


def _tools(
    given: Sequence[Any], persona: Persona, voice: Voice, tool_named: ToolNamed | None
) -> tuple[OfferedTool, ...]:
    """The line's tools and those that the persona names, where names can be looked up."""
    from gptoss_magic.agents.handoff import NAME as HANDOFF
    from gptoss_magic.agents.tools import as_tool
    from gptoss_magic.records import ToolSpec

    named = [*(persona.tools or ()), *([HANDOFF] if persona.handoff else [])]
    names = [name for name in named if name not in given] if tool_named else []
    for name in names:
        word, _, argument = name.partition(":")
        reaches = word == "browser" and any(sign in argument for sign in ":/~")
        if reaches or (word, argument) == ("python", "kernel"):
            raise InputError(f"persona: it may not name {name}; --tool {name} offers it")
    offered: list[OfferedTool] = []
    for tool in (*given, *names):
        if isinstance(tool, str):
            if tool_named is None:
                raise InputError(f"tool {tool!r}: give the function itself")
            offered += tool_named(tool, voice)
        else:
            offered.append(tool if isinstance(tool, ToolSpec) else as_tool(tool))
    specs_of(offered)
    return tuple(offered)
