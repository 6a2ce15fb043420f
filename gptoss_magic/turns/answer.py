"""`generate`: a prompt answered; `respond`: whole messages answered."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.session import current
from gptoss_magic.turns.loading import load
from gptoss_magic.turns.schemas import checked, grammar_of, record_of, valued
from gptoss_magic.turns.settle import provenance_of, sampling_settings
from gptoss_magic.turns.stopping import WORK
from gptoss_magic.turns.tool_run import answered, specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.agents.limits import Limits
    from gptoss_magic.agents.loop import Consent
    from gptoss_magic.generation import Engine
    from gptoss_magic.records import Answer, ChannelDelta, Message, Passage, Step


@WORK.doing("generate")
def generate(
    prompt: str,
    *,
    system: str | None = None,
    tools: Sequence[Any] = (),
    consent: Consent | None = None,
    limits: Limits | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    passages: Sequence[Passage] | None = None,
    persona: Sequence[str] = (),
    schema: Any = None,
    effort: str | None = None,
    date: str | None = None,
    conversation: str | None = None,
    new: bool = False,
    **how: Any,
) -> Answer:
    """Answer `prompt` with the resident model (loaded first where none is).

    `system` is the developer message's instructions. Without `conversation` nothing is remembered.
    `passages`: the sources to answer from, quoted in front of the prompt for this turn alone; the
    answer's citations are checked against them. `persona`: names of a base and its overlays; their
    text stands above `system`, what is given here wins over their settings, and each persona has
    conversations (and, where it is on, a memory) of its own. `schema` (a JSON schema or a pydantic
    model) is shown to the model, its `final` cannot but follow it, and the answer's `parsed` is the
    value. `how`: the keywords of `respond`.
    `tools`: functions, or what `@gptoss_magic.tool` made of them. They run within `limits` where
    `consent(tool, arguments, note)` gives None, until the model answers, and `on_step` sees each
    call; without a consent the model's call is the answer, and nothing runs. In a script,
    `agents.consent.by_policy()` lets those run that `@tool(policy="auto")` made.
    Raises ContextOverflow, InputError, NotLoaded.
    """
    from gptoss_magic.turns.prompt import Asked, open_talk

    if current().resident is None:
        load()
    made = checked(schema)
    formats = made.formats if made else None
    asked = Asked(prompt, system, specs(tools), passages, effort, date, formats)
    how |= {"schema": made, "calls": bool(tools)}
    talk = open_talk(asked, respond, persona, conversation, new=new, **how)
    turn = partial(respond, conversation=talk.name or "", effort=talk.effort)
    said = talk.messages, tools, talk.how
    answer = answered(turn, *said, consent=consent, limits=limits, on_step=on_step)
    return talk.closed(answer)


@WORK.doing("respond")
def respond(
    messages: Sequence[Message] | Sequence[int],
    *,
    kept: Sequence[int] = (),
    effort: str = "medium",
    conversation: str = "",
    cold: bool = False,
    routing: bool = False,
    mask_experts: str = "",
    force_experts: str = "",
    adapters: Sequence[str] | None = None,
    schema: Any = None,
    calls: bool = False,
    on_delta: Callable[[ChannelDelta], None] = lambda delta: None,
    on_prefill: Callable[[int, int], None] = lambda done, total: None,
    **sampling: Any,
) -> Answer:
    """Answer whole `messages`, system and developer message first (see `opening`).

    Or go on behind a prompt of token ids, as a provenance has it, and the tokens `kept` of the
    answer, which stand already.
    Nothing is kept but what the engine computed, under the name `conversation`. `cold` computes
    all of it anew (in bf16 a reused prefix may differ by a rounding, and with it a sampled token).
    `on_prefill` is told prompt tokens done and in total, where the prompt is long. `adapters`:
    names of attached ones that stand beside the model for this answer; None: those in use; none of
    them: the bare base. `routing`: the answer's `routing` says where each token went.
    `mask_experts`, `force_experts` (such as "3:7,5:0-3,2:*"): a probe for this answer alone, which
    the conversation does not keep; see `routing.probe.probing`. `effort` is recorded only.
    `schema`: `final` is JSON that follows it (show it to the model by `opening`); `calls`: tools
    may be called before.
    `sampling`: fields of `SamplingSettings`; without a seed one is drawn and recorded.
    Raises ContextOverflow, InputError, NotLoaded.
    """
    from gptoss_magic.generation import run_tokens, run_turn

    session = current()
    run: Any = run_tokens if isinstance(next(iter(messages), None), int) else run_turn
    if session.resident is None:
        load()
    resident, engine = session.require()
    settings = sampling_settings(greedy=resident.greedy, **sampling)
    made = checked(schema)
    probe = {"mask": mask_experts, "force": force_experts} if mask_experts or force_experts else {}
    with session.using(adapters) as active, _probed(engine, **probe) as engine:
        answer = run(
            engine,
            messages,
            settings,
            kept=kept,
            conversation=conversation,
            cold=cold,
            routing=routing,
            grammar=grammar_of(made, engine, calls=calls),
            on_delta=on_delta,
            on_prefill=on_prefill,
            provenance=provenance_of(resident, active.records, effort)
            | record_of(made, calls=calls)
            | ({"probe": probe} if probe else {})
            | ({"routing": True} if routing else {}),
        )
    return valued(answer, made)


@contextmanager
def _probed(engine: Engine, mask: str = "", force: str = "") -> Iterator[Engine]:
    """The engine; with a probe, one whose caches end with it."""
    from gptoss_magic.routing.probe import parse_experts, probing

    config = engine.model.config
    size = config.num_hidden_layers, config.num_local_experts
    pairs = [parse_experts(spec, *size) for spec in (mask, force)]
    if not any(pairs):
        yield engine
        return
    with probing(engine.model, *pairs):
        yield engine.apart()
