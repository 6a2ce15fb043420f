"""An answer, the calls of its run, and what a display shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.records.provenance import ShownProvenance

if TYPE_CHECKING:
    from gptoss_magic.records.messages import Message, ToolCall
    from gptoss_magic.records.pages import OpenPage
    from gptoss_magic.records.provenance import Provenance
    from gptoss_magic.records.quotes import Citation, Passage, Support


@dataclass(frozen=True)
class FrameHead:
    """The first rows of a data frame as texts, its index first; `size`: its rows and columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    size: tuple[int, int]


@dataclass(frozen=True)
class CodeRun:
    """A piece of Python that ran to its end: its output, and what it had to show.

    `figures`: PNG in base64. `frames`: the rows of its last value, where that is a data frame.
    """

    code: str
    output: str
    figures: tuple[str, ...] = ()
    frames: tuple[FrameHead, ...] = ()


@dataclass(frozen=True)
class Step:
    """One call of a run: what was thought and said before it, the call, and what came of it.

    `outcome` is 'result', 'error' (the tool raised, or its arguments were wrong), 'unknown' (no
    such tool), 'refused' (by the user, or nobody could be asked), 'timeout', 'interrupt' (■),
    'cut' (the model's call was cut off) or 'limit' (of the run). `result` is what the model was
    told. Calls of one turn share `turn`, from 1; the first of them has `thought` and `said`.
    Times in seconds; `call_s` without the wait for consent. `note`: what was repaired or cut.
    `passages` are None where the tool quotes none; `plan` is the goals' tree as lines; `page` is
    what the browser opened; `code_run` is what ran in a process of Python.
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
    page: OpenPage | None = None
    code_run: CodeRun | None = None


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
    `logprobs`: of each token that was generated anew, as `TokenDelta` has it; () where the engine
    does not tell.
    """

    final: str
    analysis: str
    commentary: str
    tool_calls: tuple[ToolCall, ...]
    messages: tuple[Message, ...]
    usage: Usage
    finish: str
    raw_tokens: tuple[int, ...]
    provenance: Provenance
    routing: RoutingTrace | None = None
    passages: tuple[Passage, ...] = ()
    citations: tuple[Citation, ...] = ()
    support: tuple[Support, ...] = ()
    steps: tuple[Step, ...] = ()
    parsed: Any = None
    repairs: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.provenance, ShownProvenance):
            object.__setattr__(self, "provenance", ShownProvenance(self.provenance))


@dataclass(frozen=True)
class AnswerToken:
    """One generated token: its place, its text (broken UTF-8 escaped), and whose text it is.

    `channel` is 'analysis', 'commentary', 'final', or 'header' for what stands between the texts.
    """

    index: int
    text: str
    channel: str
