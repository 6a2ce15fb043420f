"""Frozen records that travel between rooms. No behaviour beyond plain views of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ToolSpec:
    """A function that the model may call. `parameters` is a JSON schema of type object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """One harmony message. `author` names a tool (`functions.get_time`); role is the header's."""

    role: str
    content: str
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None
    author: str | None = None


@dataclass(frozen=True)
class ToolCall:
    """A call the model made. `arguments` is None where `raw` is not a JSON object."""

    name: str
    arguments: dict[str, Any] | None
    raw: str


@dataclass(frozen=True)
class Step:
    """One call of a run: what was thought and said before it, the call, and what came of it.

    `outcome` is 'result', 'error' (the tool raised, or its arguments were wrong), 'unknown' (no
    such tool), 'refused' (by the user, or nobody could be asked), 'timeout', 'interrupt' (■),
    'cut' (the model's call was cut off) or 'limit' (of the run). `result` is what the model was
    told. Calls of one turn share `turn`, from 1; the first of them has `thought` and `said`.
    Times in seconds; `call_s` without the wait for consent. `note`: what was repaired or cut.
    `passages` are None where the tool quotes none; `plan` is the goals' tree as lines.
    """

    turn: int
    call: ToolCall
    outcome: str
    result: str
    thought: str = ""
    said: str = ""
    thought_s: float = 0.0
    call_s: float = 0.0
    note: str = ""
    passages: tuple[Passage, ...] | None = None
    plan: str = ""


@dataclass(frozen=True)
class TokenDelta:
    """One generated token. `finish` is set on the last: 'return', 'call', 'stop', 'length'."""

    token_id: int
    finish: str | None = None


@dataclass(frozen=True)
class ChannelDelta:
    """Text that one token added to a channel. `message` counts messages from 0."""

    channel: str
    text: str
    message: int = 0
    recipient: str | None = None


@dataclass(frozen=True)
class Usage:
    """Counts in tokens, times in seconds. `cached_tokens` of the prompt were not computed again."""

    prompt_tokens: int
    completion_tokens: int
    analysis_tokens: int
    first_token_s: float
    analysis_s: float
    total_s: float
    cached_tokens: int = 0

    @property
    def tokens_per_s(self) -> float:
        """Decoded tokens per second after the first."""
        rest = self.total_s - self.first_token_s
        return (
            (self.completion_tokens - 1) / rest if rest > 0 and self.completion_tokens > 1 else 0.0
        )


@dataclass(frozen=True)
class Passage:
    """A quoted piece of a source, `number` from 1 as the prompt counts it.

    `source` is a path, or `frame:NAME`; lines count from 1, both included, in the text as it was
    read. `score` ranks passages of one search only.
    """

    number: int
    index: str
    source: str
    heading: str
    first_line: int
    last_line: int
    text: str
    score: float = 0.0


@dataclass(frozen=True)
class Citation:
    """What an answer refers to, `text` as it stands there from character `start` on.

    `valid`: a passage of that `number` was given, and the lines, where named, lie in it.
    """

    text: str
    start: int
    number: int
    first_line: int | None
    last_line: int | None
    valid: bool


@dataclass(frozen=True)
class Support:
    """A sentence that the model did not cite, and the lines that hold its words, if any do.

    Made by comparing words, not by the model: `text` stands in the answer from `start` on; the
    lines hold `found` of its `words` different words. `number` is the passage's; 0: no lines hold
    enough. It says where to look, and proves nothing.
    """

    text: str
    start: int
    number: int
    first_line: int
    last_line: int
    found: int
    words: int


@dataclass(frozen=True)
class Transcript:
    """What a display needs to show one answer, at any moment of it."""

    analysis: str = ""
    final: str = ""
    commentary: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    finish: str | None = None
    model: str = ""
    note: str = ""
    passages: tuple[Passage, ...] = ()
    citations: tuple[Citation, ...] = ()
    support: tuple[Support, ...] = ()
    steps: tuple[Step, ...] = ()
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoutingTrace:
    """Which experts each token went to: T tokens, L layers, k experts a token.

    `ids` [T, L, k] (uint8, or uint16 beyond 256 experts) and `weights` [T, L, k] (float16) are
    numpy arrays. `channels` [T] names each token's place: 'system', 'developer', 'user', 'tool',
    'analysis', 'commentary', 'final', or 'header' for what stands between messages' texts.
    """

    ids: Any
    weights: Any
    channels: tuple[str, ...]
    num_experts: int


@dataclass(frozen=True)
class Answer:
    """What a prompt cell gives back.

    `finish` is 'return', 'call', 'stop' (a stop string), 'length', 'interrupt' or 'limit' (of a
    run). `raw_tokens` are the generated ids as sampled; nothing of the stream is lost. `routing`,
    where asked for, covers prompt and answer but for the last token, which no forward saw.
    `passages` were in the prompt or given by a tool; `citations` are those that the model
    wrote in `final`, checked against them; `support` is what comparing words found for sentences
    without one. Where tools ran, `steps` has each call with its result, and `messages`,
    `tool_calls` and `usage` are those of all turns; the rest is the last turn's.
    `parsed`: with a schema, the value of `final` (a pydantic model's instance, or plain JSON); None
    where the answer was cut off, or where the provenance's `schema` has an `error`.
    `repairs`: what the parser had to guess of malformed headers, a line each; of all turns.
    """

    final: str
    analysis: str
    commentary: str
    tool_calls: tuple[ToolCall, ...]
    messages: tuple[Message, ...]
    usage: Usage
    finish: str
    raw_tokens: tuple[int, ...]
    provenance: dict[str, Any]
    routing: RoutingTrace | None = None
    passages: tuple[Passage, ...] = ()
    citations: tuple[Citation, ...] = ()
    support: tuple[Support, ...] = ()
    steps: tuple[Step, ...] = ()
    parsed: Any = None
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnswerToken:
    """One generated token: its place, its text (broken UTF-8 escaped), and whose text it is.

    `channel` is 'analysis', 'commentary', 'final', or 'header' for what stands between the texts.
    """

    index: int
    text: str
    channel: str


@dataclass(frozen=True)
class Mapped:
    """What a map did. Of `rows`, `done` have an answer or an error; `kept` were in the journal.

    `finish` is 'return' or 'interrupt'. `failed` have an error. `journal` is a folder.
    """

    rows: int
    done: int
    kept: int
    failed: int
    finish: str
    completion_tokens: int
    total_s: float
    journal: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """One prompt on the bare base ('base') and beside adapters, by name.

    `likelihoods[a][b]`: mean log-likelihood, in nats a token, of a's answer under b.
    """

    prompt: str
    answers: dict[str, Answer]
    likelihoods: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Drift:
    """Routing on a fixed probe text against the base model's; means over layers.

    `entropy` of the load in nats (log E is even), `share` of routes that go to the trained experts
    (None where no expert is), `distance`: Jensen-Shannon, in [0, 1], from the base model.
    """

    entropy: float
    share: float | None
    distance: float


@dataclass(frozen=True)
class StepMetrics:
    """One optimizer step, counted from 1. Losses are nats per trained token, before the step.

    `memory`: bytes at the peak so far.
    """

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens_per_s: float
    memory: int
    eval_loss: float | None = None
    drift: Drift | None = None


@dataclass(frozen=True)
class Example:
    """One training text: token ids, and which of them are trained (the loss mask)."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
