"""One prompt cell: options and body in, a streamed transcript and an `Answer` out."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics.body import expand, own_text
from gptoss_magic.magics.memory import name_notebook
from gptoss_magic.magics.search import found_passages
from gptoss_magic.magics.show import left_behind, transcript
from gptoss_magic.magics.toolbox import consent_of, limits_of, tool_finder
from gptoss_magic.records import Listener
from gptoss_magic.session import current
from gptoss_magic.vocabulary import CONVERSATION, SAMPLER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gptoss_magic.records import Answer, ChannelDelta, Consent
    from gptoss_magic.widgets.transcript import View

TRAITS = ("temperature", "top_p", "top_k", "max_tokens", "effort", "system", "date", "seed")


def ask(options: Namespace, body: str, names: dict[str, Any], magics: Any) -> Answer:
    """Run the cell: `names` is the notebook's namespace, `magics` has the defaults as traits.

    Where a persona hands over, the other one answers next, in an output of its own.
    """
    from gptoss_magic.agents.handoff import MOST, handed_prompt, handed_to

    prompt = expand(body, names, is_raw=options.raw).strip()
    if not prompt:
        raise InputError("the cell has no prompt: write one below the %%gptoss line")
    check_tool_options(options)
    name_notebook(names)
    typed = own_text(body, is_raw=options.raw)
    said, spoken = asked(options, prompt, typed, names, magics), list[str]()
    while (handed := handed_to(said)) is not None:
        spoken.append(said.provenance["persona"]["name"])
        names_of = {name for one in spoken for name in one.split("+")}
        if handed[0] in names_of or len(spoken) >= MOST:
            print(f"the handoff to {handed[0]} is not followed: enough personas have spoken")
            break
        options = Namespace(**{**vars(options), "persona": handed[0], "new": False})
        told = handed_prompt(prompt, spoken[-1], handed[1], said)
        said = asked(options, told, typed, names, magics, handed_by=spoken[-1])
    if options.output:
        names[options.output] = said
    return said


def asked(
    options: Namespace,
    prompt: str,
    typed: str,
    names: dict[str, Any],
    magics: Any,
    *,
    handed_by: str = "",
) -> Answer:
    """One persona's answer, on the screen. `typed`: the user's own words of the prompt."""
    from gptoss_magic.turns import answer, settle
    from gptoss_magic.widgets.transcript import open_view

    passages = found_passages(options, prompt, names, magics.rag)
    request = settle(
        prompt,
        own_text=typed,
        defaults=traits_of(magics),
        ready=magics.load_default,
        tool_named=tool_finder(options, magics, passages),
        **line_of(options, names),
        tools=options.tool,
        limits=limits_of(options, magics),
        passages=passages,
    )
    request = replace(request, voice=replace(request.voice, handed_by=handed_by))
    model = current().require().identity["model"]
    with open_view(model, passages or (), quiet=options.quiet) as view:
        listener = listener_of(view, None if options.no_run else consent_of(magics.shell))
        said = answer(request, listener)
        view.finish(transcript(said), **({} if options.quiet else left_behind(said)))
    return said


def line_of(options: Namespace, names: dict[str, Any]) -> dict[str, Any]:
    """What the line says, by the names of `settle`."""
    return {
        **{name: getattr(options, name) for name in SAMPLER},
        "stop": options.stop and tuple(options.stop),
        "effort": options.effort,
        "system": options.system,
        "date": options.date,
        "persona": current().persona if options.persona is None else options.persona,
        "adapters": options.adapter,
        "conversation": options.conversation or CONVERSATION,
        "new": options.new,
        "cold": options.cold,
        "routing": options.routing or None,
        "mask_experts": options.mask_experts,
        "force_experts": options.force_experts,
        "schema": named("--schema", options.schema, names) if options.schema else None,
    }


def traits_of(magics: Any) -> Mapping[str, Any]:
    """The notebook's defaults, by the names of `settle`."""
    return {name: getattr(magics, name) for name in (*TRAITS, "routing")}


def named(option: str, name: str, names: dict[str, Any]) -> Any:
    """What the notebook calls `name`. Raises InputError where it has no such name."""
    if names.get(name) is None:
        what = "it is None" if name in names else "the notebook has no such name"
        raise InputError(f"{option} {name}: {what}; define it first")
    return names[name]


def listener_of(view: View, consent: Consent | None) -> Listener:
    """What shows a stream, and asks for consent when the call is on the screen."""
    return Listener(streamed(view), view.prefill, view.step, shown_first(view, consent))


def streamed(view: View) -> Callable[[ChannelDelta], None]:
    """What shows a stream: calls under their tool's name, each on lines of its own."""
    last = ("", 0)

    def on_delta(delta: ChannelDelta) -> None:
        nonlocal last
        block = delta.recipient or delta.channel
        is_next_call = last[0] == block and last[1] != delta.message
        last = (block, delta.message)
        view.delta(block, f"\n{delta.text}" if is_next_call else delta.text)

    return on_delta


def shown_first(view: View, consent: Consent | None) -> Consent | None:
    """A consent that is asked for when the call is on the screen."""
    if consent is None:
        return None

    def decide(tool: Any, arguments: dict[str, Any], note: str) -> str | None:
        view.flush()
        return consent(tool, arguments, note)

    return decide


def check_tool_options(options: Namespace) -> None:
    """Raise InputError for options that mean nothing without a tool."""
    if options.tool or not (options.no_run or options.calls is not None):
        return
    names = current().persona if options.persona is None else options.persona.split("+")
    if not any(layer.tools for layer in current().layers(names)):
        option = "--no-run" if options.no_run else "--calls"
        raise InputError(f"{option} means something beside --tool only")
