"""What is asked, who listens, and what came of it: `Request`, `Listener`, `Turn`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import EFFORT, LOOKUP, MAX_TOKENS, SAMPLER

if TYPE_CHECKING:
    from gptoss_magic.records.answers import Answer, Step
    from gptoss_magic.records.messages import ChannelDelta, Message, TokenDelta, ToolSpec
    from gptoss_magic.records.provenance import LayerRecord, PersonaRecord, SamplingRecord
    from gptoss_magic.records.quotes import Passage
    from gptoss_magic.records.terms import Term


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are chosen and when to stop.

    temperature 0 is greedy; top_p in (0, 1]; top_k 0 keeps all; max_tokens counts new tokens;
    `stop` are strings that end the answer and are cut from it. `lookup`: a greedy answer drafts
    up to so many tokens from the text before it, 0 for none; the tokens are the same.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = MAX_TOKENS
    seed: int = 0
    stop: tuple[str, ...] = ()
    lookup: int = LOOKUP

    def __post_init__(self) -> None:
        for name, allowed in SAMPLER.items():  # as plain numbers: numpy's are no JSON
            object.__setattr__(self, name, allowed.check(getattr(self, name)))
        if not all(self.stop):
            raise InputError("a stop string is empty: give at least one character")

    def record(self) -> SamplingRecord:
        """The settings as plain JSON values, for provenance."""
        return cast("SamplingRecord", {**asdict(self), "stop": list(self.stop)})


@dataclass(frozen=True)
class Limits:
    """Bounds: calls, tokens and seconds of a run, seconds of one call, characters of a result.

    The wait for the user's consent does not count. `tokens` are those that the model generates.
    """

    calls: int = 8
    seconds: float = 1800.0
    tokens: int = 8192
    call_seconds: float = 60.0
    chars: int = 8000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise InputError(f"{name.replace('_', ' ')} {value}: give 0 or more")


@dataclass(frozen=True)
class Voice:
    """Who answers: the text of a persona's layers, and the user's instructions below it.

    `names`: the persona as it was named, a base and its overlays; none is nobody in particular.
    `layers`: (name, SHA-256) of each text that was laid, `sha256` of the whole. `terms` of its
    field are quoted where a question is about them. `heard`: signals of the user's text, with what
    each called. `handed_by`: who handed over to it.
    """

    names: tuple[str, ...] = ()
    name: str = ""
    text: str = ""
    system: str = ""
    layers: tuple[tuple[str, str], ...] = ()
    sha256: str = ""
    terms: tuple[Term, ...] = ()
    heard: tuple[str, ...] = ()
    handed_by: str = ""

    @property
    def instructions(self) -> str:
        """The developer message's instructions."""
        return "\n\n".join(filter(None, (self.text, self.system)))

    def record(self) -> PersonaRecord:
        """For a provenance: the whole and its layers by name and digest."""
        layers: list[LayerRecord] = [
            {"name": name, "sha256": digest} for name, digest in self.layers
        ]
        record: PersonaRecord = {"name": self.name, "sha256": self.sha256, "layers": layers}
        if self.heard:
            record["signals"] = list(self.heard)
        if self.handed_by:
            record["handed_by"] = self.handed_by
        return record


@dataclass(frozen=True)
class ExpertProbe:
    """Experts that no token goes to, or that every token goes to: '3:7,5:0-2', '5:1', '*:3'."""

    mask: str = ""
    force: str = ""

    def __bool__(self) -> bool:
        return bool(self.mask or self.force)


class AnswerForm(Protocol):
    """What `final` must be: `turns.answer_schema.AnswerSchema` is one."""

    name: str
    schema: dict[str, Any]

    @property
    def enforced(self) -> dict[str, Any]:
        """The JSON schema that the answer is held to."""

    @property
    def formats(self) -> dict[str, Any]:
        """What the model is shown, as response formats by name."""

    def parse(self, text: str) -> Any:
        """The plain JSON value of `text`. Raises InputError."""

    def value(self, text: str) -> Any:
        """The value that `text` says. Raises InputError."""


class OfferedTool(Protocol):
    """A tool of a request: `agents.tools.Tool` is one."""

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""


@dataclass(frozen=True)
class Request:
    """One question to the model, settled: nothing that reads it decides anything again.

    Made by `turns.settle`, changed by `dataclasses.replace` alone.

    What is asked is `prompt`, the user's text behind the conversation so far; or whole `messages`,
    system and developer message first; or exact `prompt_ids`. `kept_ids` are tokens of the answer
    that stand already. `conversation`: its whole name; '' keeps nothing. `is_new`: it starts
    afresh. `date`: YYYY-MM-DD. `adapters`: names of those that stand beside the model; none is the
    bare base. `passages` are quoted in front of the prompt; None: none were asked for. `remembers`:
    the turn reads and fills the voice's memory; `no_memory` says why it could not, where only the
    persona wished it. `is_cold`: nothing that was computed before is reused. `routing`: the answer
    says where each token went. `can_call`: tools may be called before a `schema`'s answer.
    `must_call`: names of tools one of which the answer must call. `num_top`: so many of the
    likeliest tokens are told to `Listener.on_token`.
    """

    prompt: str = ""
    messages: tuple[Message, ...] = ()
    prompt_ids: tuple[int, ...] = ()
    kept_ids: tuple[int, ...] = ()
    voice: Voice = field(default_factory=Voice)
    effort: str = EFFORT
    date: str = ""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    adapters: tuple[str, ...] = ()
    conversation: str = ""
    is_new: bool = False
    is_cold: bool = False
    routing: bool = False
    probe: ExpertProbe = field(default_factory=ExpertProbe)
    schema: AnswerForm | None = None
    can_call: bool = False
    must_call: tuple[str, ...] = ()
    num_top: int = 0
    tools: tuple[OfferedTool, ...] = ()
    limits: Limits = field(default_factory=Limits)
    passages: tuple[Passage, ...] | None = None
    remembers: bool = False
    no_memory: str = ""


Consent = Callable[[Any, dict[str, Any], str], str | None]


def _unheard(*_told: Any) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Listener:
    """Who is told while an answer is made, in the thread that makes it.

    `on_delta`: text as it comes. `on_token`: each new token, before its text. `on_prefill`: prompt
    tokens done and in total, before the first of them and before each further chunk. `on_step`: a
    tool's call that is done. `consent(tool, arguments, note)`: None lets a call run, words refuse
    it; without a consent no tool runs and the call is the answer.
    `is_gone`: asked between tokens and while waiting; True ends the answer as an interrupt does.
    """

    on_delta: Callable[[ChannelDelta], None] = _unheard
    on_prefill: Callable[[int, int], None] = _unheard
    on_step: Callable[[Step], None] = _unheard
    consent: Consent | None = None
    is_gone: Callable[[], bool] = lambda: False
    on_token: Callable[[TokenDelta], None] = _unheard


@dataclass(frozen=True)
class Generation:
    """One call of the model, in exact tokens; times in seconds, `began` since the epoch.

    `finish`, `logprobs`: see `Answer`. The first `num_kept` of `answer_ids` stood already.
    """

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    finish: str
    began: float
    total_s: float
    logprobs: tuple[float, ...] = ()
    num_kept: int = 0


@dataclass(frozen=True)
class Turn:
    """The record of one question and its answer; a conversation is a chain of them.

    `parent`: the turn before it in its `conversation` ('' where it is the first); `first`: the
    oldest turn that stood in its prompt ('' for its own). `asked` is what the user said, `said`
    what the next turn sees of the rest: both have their exact tokens. `generations`: each call of
    the model, one more than there were rounds of tools.
    """

    id: str
    parent: str
    first: str
    conversation: str
    request: Request
    asked: Message
    said: tuple[Message, ...]
    generations: tuple[Generation, ...]
    answer: Answer

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """What the model read before the last of its words."""
        return self.generations[-1].prompt_ids

    @property
    def answer_ids(self) -> tuple[int, ...]:
        """The last generation's tokens."""
        return self.generations[-1].answer_ids

    @property
    def finish(self) -> str:
        """How it ended; see `Answer`."""
        return self.answer.finish

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the next turn of the conversation sees of this one."""
        return (self.asked, *self.said)

    @property
    def tool_results(self) -> tuple[str, ...]:
        """What tools answered, in order."""
        return tuple(step.result for step in self.answer.steps)
