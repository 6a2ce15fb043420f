"""One prompt cell: options and body in, a streamed transcript and an `Answer` out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics.body import expand
from gptoss_magic.magics.memory import name_notebook
from gptoss_magic.magics.search import found_passages
from gptoss_magic.magics.show import transcript
from gptoss_magic.magics.toolbox import tool_settings
from gptoss_magic.magics.voice import persona_names, persona_of, tool_names

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from gptoss_magic.agents.loop import Consent
    from gptoss_magic.agents.tools import Tool
    from gptoss_magic.records import Answer, ChannelDelta
    from gptoss_magic.widgets.transcript import View

DEFAULTS = ("temperature", "top_p", "top_k", "max_tokens", "effort", "system", "date", "seed")


def ask(options: Namespace, body: str, names: dict[str, Any], defaults: Any) -> Answer:
    """Run the cell: `names` is the notebook's namespace, `defaults` the magics' traits."""
    from gptoss_magic.session import current
    from gptoss_magic.turns import PROVENANCE_KEY, generate
    from gptoss_magic.widgets.transcript import open_view

    prompt = expand(body, names).strip()
    if not prompt:
        raise InputError("the cell has no prompt: write one below the %%gptoss line")
    check_output(options.output)
    name_notebook(names)
    how = settings_of(options, defaults)
    passages = found_passages(options, prompt, names, defaults.rag)
    options.tool = tool_names(options)
    how |= tool_settings(options, defaults, len(passages or ()))
    model = current().require()[0].identity["model"]
    with open_view(model, passages or (), quiet=options.quiet) as view:
        how["consent"] = shown_first(view, how["consent"])
        answer = generate(
            prompt,
            passages=passages,
            schema=named("--schema", options.schema, names) if options.schema else None,
            on_delta=streamed(view),
            on_prefill=view.prefill,
            on_step=view.step,
            **how,
        )
        view.finish(transcript(answer), metadata={PROVENANCE_KEY: answer.provenance})
    if options.output:
        names[options.output] = answer
    return answer


def settings_of(options: Namespace, defaults: Any) -> dict[str, Any]:
    """The keywords of `generate` that the line and the defaults give."""
    return {
        "persona": persona_names(options),
        "conversation": options.conversation,
        "new": options.new,
        "cold": options.cold,
        "routing": options.routing or defaults.routing,
        "mask_experts": options.mask_experts or "",
        "force_experts": options.force_experts or "",
        "adapters": options.adapter,
        "stop": tuple(options.stop or ()),
        "lookup": options.lookup,
        **chosen_settings(options, defaults),
    }


def chosen_settings(options: Namespace, defaults: Any) -> dict[str, Any]:
    """Each setting from the line, else of the persona, else from `%config GptOssMagics`.

    A persona's text takes the place of the trait `system`; --system stands below that text.
    """
    from gptoss_magic.turns.prompt import settled

    traits, given = ({name: getattr(of, name) for name in DEFAULTS} for of in (defaults, options))
    return settled(persona_of(options), traits, given)


def named(option: str, name: str, names: dict[str, Any]) -> Any:
    """What the notebook calls `name`. Raises InputError where it has no such name."""
    if name not in names:
        raise InputError(f"{option} {name}: the notebook has no such name; define it first")
    return names[name]


def streamed(view: View) -> Callable[[ChannelDelta], None]:
    """What shows a stream: calls under their tool's name, each on lines of its own."""
    shown: list[tuple[str, int]] = [("", 0)]

    def on_delta(delta: ChannelDelta) -> None:
        place = delta.recipient or delta.channel, delta.message
        is_next = shown[0][0] == place[0] and shown[0][1] != place[1]
        shown[0] = place
        view.delta(place[0], "\n" * is_next + delta.text)

    return on_delta


def shown_first(view: View, consent: Consent | None) -> Consent | None:
    """A consent that is asked for when the call is on the screen."""
    if consent is None:
        return None

    def decide(tool: Tool, arguments: dict[str, Any], note: str) -> str | None:
        view.flush()
        return consent(tool, arguments, note)

    return decide


def check_output(name: str | None) -> None:
    """Raise InputError where -o names no variable."""
    if name and not name.isidentifier():
        raise InputError(f"-o {name}: not a variable name")
