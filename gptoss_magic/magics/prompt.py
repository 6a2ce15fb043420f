"""One prompt cell: options and body in, a streamed transcript and an `Answer` out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics.body import expand
from gptoss_magic.magics.search import found_passages
from gptoss_magic.magics.show import transcript
from gptoss_magic.magics.tools import tool_spec

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.records import Answer

DEFAULTS = ("temperature", "top_p", "top_k", "max_tokens", "effort", "system", "date", "seed")


def ask(options: Namespace, body: str, names: dict[str, Any], defaults: Any) -> Answer:
    """Run the cell: `names` is the notebook's namespace, `defaults` the magics' traits."""
    from gptoss_magic.api import PROVENANCE_KEY, generate
    from gptoss_magic.session import current
    from gptoss_magic.widgets.transcript import open_view

    prompt = expand(body, names).strip()
    if not prompt:
        raise InputError("the cell has no prompt: write one below the %%gptoss line")
    check_output(options.output)
    chosen = chosen_settings(options, defaults)
    passages = found_passages(options, prompt, defaults.rag)
    tools = [tool_spec(named("--tool", name, names)) for name in options.tool or ()]
    model = current().require()[0].identity["model"]
    with open_view(model, quiet=options.quiet) as view:
        answer = generate(
            prompt,
            tools=tools,
            passages=passages,
            conversation=options.conversation,
            new=options.new,
            cold=options.cold,
            routing=options.routing or defaults.routing,
            mask_experts=options.mask_experts or "",
            force_experts=options.force_experts or "",
            adapters=options.adapter,
            stop=tuple(options.stop or ()),
            lookup=options.lookup,
            on_delta=lambda delta: view.delta(delta.channel, delta.text),
            on_prefill=view.prefill,
            **chosen,
        )
        view.finish(transcript(answer), metadata={PROVENANCE_KEY: answer.provenance})
    if options.output:
        names[options.output] = answer
    return answer


def chosen_settings(options: Namespace, defaults: Any) -> dict[str, Any]:
    """Each setting from the line, else from `%config GptOssMagics`."""
    given = {name: getattr(options, name) for name in DEFAULTS}
    return {
        name: getattr(defaults, name) if value is None else value for name, value in given.items()
    }


def named(option: str, name: str, names: dict[str, Any]) -> Any:
    """What the notebook calls `name`. Raises InputError where it has no such name."""
    if name not in names:
        raise InputError(f"{option} {name}: the notebook has no such name; define it first")
    return names[name]


def check_output(name: str | None) -> None:
    """Raise InputError where -o names no variable."""
    if name and not name.isidentifier():
        raise InputError(f"-o {name}: not a variable name")
