"""Self-instruct (arXiv 2212.10560): the model proposes prompts like a few seeds and answers them.

One prompt a proposal and a tolerant reading, so that a small model can do it too. What is left out
is kept with the name of its rule.
"""

from __future__ import annotations

import random
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHOWN = 3  # earlier prompts that a proposal sees
ATTEMPTS_A_ROW = 6
SIMILAR = 0.6  # Jaccard similarity of word 3-grams from which two prompts are the same
SHORTEST_PROMPT, LONGEST_PROMPT = 2, 150  # words
SHORTEST_ANSWER, LONGEST_ANSWER = 1, 800  # words
RULES = {
    "empty": "no prompt or no answer came",
    "too short": f"a prompt of fewer than {SHORTEST_PROMPT} words",
    "too long": f"a prompt above {LONGEST_PROMPT} words, an answer above {LONGEST_ANSWER}",
    "copies a seed": f"{SIMILAR} or more of its word 3-grams are a seed's",
    "duplicate": f"{SIMILAR} or more of its word 3-grams are an earlier prompt's",
    "cut off": "the answer did not end by itself",
    "no analysis": "answered without reasoning: such rows would train it away",
    "refusal": "the model declined to answer",
    "same without the word": "the word changed nothing in the answer",
    "without the term": "neither the prompt nor the answer has the term that it is about",
}
REFUSAL = re.compile(
    r"^\W*(i['’]?m (very )?sorry|sorry[,.]|i (can['’]?t|cannot|can not|am unable to|am not able to)"
    r"|as an ai\b|i must decline)",
    re.IGNORECASE,
)
MARK = re.compile(
    r"^\s*(?:[-*•>#]+|\(?\d{1,3}[.):]|(?:new |next )?(?:prompt|question|task|instruction)"
    r"(?: *\d+)? *:)\s*",
    re.IGNORECASE,
)
INTRODUCTION = re.compile(
    r"^(sure|certainly|of course|okay|ok|here(['’]s| is| are))\b", re.IGNORECASE
)
QUOTES = "\"'`“”‘’«»*_ "


class Answered(Protocol):
    """What is read of an answer; `records.Answer` is one."""

    @property
    def final(self) -> str: ...

    @property
    def analysis(self) -> str: ...

    @property
    def finish(self) -> str: ...


@dataclass(frozen=True)
class GrownRow:
    """A prompt of the model's own, its reasoning and its answer."""

    prompt: str
    analysis: str
    answer: str


@dataclass(frozen=True)
class Grown:
    """`rejected`: (text, rule of `RULES`). `attempts`: proposals made.

    `ended`: why there are fewer rows than wanted, or ''.
    """

    rows: tuple[GrownRow, ...]
    rejected: tuple[tuple[str, str], ...]
    attempts: int
    ended: str = ""

    def to_records(self) -> list[dict[str, str]]:
        """Rows {prompt, analysis, answer}, as tuning data."""
        return [asdict(row) for row in self.rows]


@dataclass
class _Growth:
    """What has grown so far; `ask(text, seed)` is the model."""

    description: str
    seeds: Sequence[tuple[str, str]]
    ask: Callable[[str, int], Answered]
    row_rule: Callable[[str, str, int], str]
    rows: list[GrownRow] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    is_interrupted: bool = False

    def attempt(self, number: int) -> GrownRow | None:
        """One proposal and, where its prompt passes, the answer; None where a rule rejects it."""
        shown = self._shown(number)
        proposal = self._asked(proposal_text(self.description, shown), 2 * number)
        prompt = read_prompt(proposal.final)
        rule = self.prompt_rule(prompt)
        if rule or self.is_interrupted:
            self._reject(prompt or proposal.final, rule)
            return None
        answer = self._asked(prompt, 2 * number + 1)
        rule = answer_rule(answer) or self.row_rule(prompt, answer.final, number)
        if rule or self.is_interrupted:
            self._reject(f"{prompt}\n{answer.final}".strip(), rule)
            return None
        row = GrownRow(prompt, answer.analysis.strip(), answer.final.strip())
        self.rows.append(row)
        return row

    def prompt_rule(self, prompt: str) -> str:
        """The rule that rejects a prompt, or ''."""
        words = len(prompt.split())
        if not words:
            return "empty"
        if words < SHORTEST_PROMPT:
            return "too short"
        if words > LONGEST_PROMPT:
            return "too long"
        if any(similar(prompt, seed) for seed, _ in self.seeds):
            return "copies a seed"
        return "duplicate" if any(similar(prompt, row.prompt) for row in self.rows) else ""

    def _shown(self, number: int) -> list[str]:
        """Prompts to go by: one seed at least, and earlier rows."""
        draw = random.Random(number)  # noqa: S311 (a choice to repeat, not a secret)
        seeds = [prompt for prompt, _ in self.seeds]
        others = [*seeds, *(row.prompt for row in self.rows)]
        first = draw.sample(seeds, min(1, len(seeds)))
        rest = [prompt for prompt in others if prompt not in first]
        found = [*first, *draw.sample(rest, min(SHOWN - len(first), len(rest)))]
        draw.shuffle(found)
        return found

    def _asked(self, text: str, seed: int) -> Answered:
        answer = self.ask(text, seed)
        self.is_interrupted = answer.finish == "interrupt"
        return answer

    def _reject(self, text: str, rule: str) -> None:
        if not self.is_interrupted:
            self.rejected.append((text, rule))


def grow(
    description: str,
    seeds: Sequence[tuple[str, str]],
    num_rows: int,
    ask: Callable[[str, int], Answered],
    *,
    on_row: Callable[[GrownRow], object] = lambda _row: None,
    most_attempts: int | None = None,
    row_rule: Callable[[str, str, int], str] = lambda _prompt, _answer, _number: "",
) -> Grown:
    """Up to `num_rows` rows by the model `ask(prompt, seed)`, in `most_attempts` proposals.

    `seeds`: (prompt, answer) pairs; rows are told to `on_row` as they come. An answer whose finish
    is 'interrupt' ends it with what there is. `row_rule(prompt, answer, attempt)`: a rule of
    `RULES` that rejects a row, or ''. Raises InputError for nothing to go by.
    """
    if not description.strip() and not seeds:
        raise InputError("nothing to go by; give a description, seeds, or both")
    if num_rows < 1:
        raise InputError(f"{counted(num_rows, 'row')}: give a number above 0")
    most = ATTEMPTS_A_ROW * num_rows if most_attempts is None else most_attempts
    growth, attempts = _Growth(description.strip(), seeds, ask, row_rule), 0
    while len(growth.rows) < num_rows and attempts < most and not growth.is_interrupted:
        row = growth.attempt(attempts)
        attempts += 1
        if row is not None:
            on_row(row)
    ended = ""
    if len(growth.rows) < num_rows:
        reason = "interrupted" if growth.is_interrupted else "no more attempts"
        ended = (
            f"{reason}: {len(growth.rows)} of {counted(num_rows, 'row')} after "
            f"{counted(attempts, 'attempt')}"
        )
    return Grown(tuple(growth.rows), tuple(growth.rejected), attempts, ended)


def proposal_text(description: str, shown: Sequence[str]) -> str:
    """What asks for one new prompt like those `shown`."""
    about = f"The task: {description}\n\n" if description else ""
    listed = "".join(f"Prompt: {' '.join(prompt.split())}\n" for prompt in shown)
    examples = f"Prompts that users wrote:\n{listed}\n" if shown else ""
    return (
        f"{about}{examples}Write one new prompt of the same kind about something else. "
        "Do not answer it. Reply with the prompt alone."
    )


def read_prompt(text: str) -> str:
    """The first prompt in a reply: without list marks, labels, quotes or an introduction."""
    lines = [line for line in text.splitlines() if line.strip(QUOTES)]
    while len(lines) > 1 and INTRODUCTION.match(lines[0].strip()) and lines[0].strip()[-1] in ":.!":
        lines.pop(0)
    for line in lines:
        bare = MARK.sub("", MARK.sub("", line.strip(QUOTES))).strip(QUOTES).strip()
        if bare:
            return bare
    return ""


def answer_rule(answer: Answered) -> str:
    """The rule that rejects an answer, or ''."""
    final = answer.final.strip()
    if answer.finish != "return":
        return "cut off"
    if len(final.split()) < SHORTEST_ANSWER:
        return "empty"
    if len(final.split()) > LONGEST_ANSWER:
        return "too long"
    if REFUSAL.match(final):
        return "refusal"
    return "" if answer.analysis.strip() else "no analysis"


def similar(one: str, other: str) -> bool:
    """True where the texts share `SIMILAR` of their word 3-grams, case and signs aside."""
    a, b = _grams(one), _grams(other)
    return a == b or (bool(a | b) and len(a & b) >= SIMILAR * len(a | b))


def _grams(text: str) -> set[tuple[Any, ...]]:
    words = re.findall(r"\w+", text.casefold()) or [text.strip()]
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
