"""A learned signal: how often a word calls a persona's way, and how often that comes uncalled.

An answer y counts as called where it is likelier with the persona's text than without,
log p(y | text, prompt) > log p(y | prompt), both by the bare base and for the prompt without the
word: no judge is asked, and the word itself cannot tell.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.signals import with_word, without_word
from gptoss_magic.errors import InputError
from gptoss_magic.records import Voice
from gptoss_magic.records.signals import SignalRates
from gptoss_magic.runs.texts import asked as last_asked
from gptoss_magic.session import current
from gptoss_magic.turns.many import answer_all, for_prompts
from gptoss_magic.turns.progress import noted, silent
from gptoss_magic.turns.prompt import ids_of
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.records import Answer, Request
    from gptoss_magic.runs.prepare import Tuning
    from gptoss_magic.turns.progress import Progress

TOKENS = 128
MOST_ASKED = 40


class SignalWatch:
    """Asks a run's held-out prompts with a word and without, when the run is over.

    `word`, `persona`: what the word was to call.
    """

    def __init__(self, word: str, persona: Persona) -> None:
        self.word, self.persona = word, persona

    def __call__(self, tuning: Tuning, progress: Progress = silent) -> SignalRates:
        """Of prompts that stand in no trained row, with the word or without, if there are any."""
        trained = {prompt for step in tuning.data[0] for prompt in self._prompts(step)}
        held_out = self._prompts(tuning.data[1])
        fresh = [prompt for prompt in held_out if prompt not in trained]
        asked = (fresh or held_out or sorted(trained))[:MOST_ASKED]
        return signal_rates(
            self.word, self.persona, asked, [tuning.run.name], progress, is_seen=not fresh
        )

    def _prompts(self, sequences: Sequence[Any]) -> list[str]:
        """What the user asks last in each, the word taken out; each once."""
        codec = current().codec
        said = [last_asked(one.ids, codec) for sequence in sequences for one in sequence]
        return list(dict.fromkeys(plain for one in said if (plain := without_word(one, self.word))))


def signal_of(text: str) -> tuple[str, Persona]:
    """(word, persona) of 'WORD=PERSONA', a base with overlays as 'a+b'. Raises InputError."""
    from gptoss_magic.agents.layers import overlay

    word, _, name = text.rpartition("=")
    if not word.strip() or not name.strip():
        raise InputError(f"--signal {text}: write WORD=PERSONA")
    return " ".join(word.split()), overlay(current().layers(name.strip().split("+")))


def signal_rates(
    word: str,
    persona: Persona,
    prompts: Sequence[str],
    adapters: Sequence[str],
    progress: Progress = silent,
    *,
    is_seen: bool = False,
) -> SignalRates:
    """Ask each prompt with and without the word, greedily, by the bare base and beside `adapters`.

    `prompts` are without the word. Raises InputError where there are none.
    """
    asked = list(prompts)
    if not asked:
        raise InputError(f"--signal {word}: no prompt is there to ask; give --prompts FILE")
    bare = settle(temperature=0.0, max_tokens=TOKENS, adapters=[NONE])
    called = [with_word(prompt, word, n) for n, prompt in enumerate(asked)]
    found = []
    for names in ((), tuple(adapters)):
        request = replace(bare, adapters=names)
        answers = answer_all(for_prompts(request, [*called, *asked]), noted(progress, "signal"))
        flags = were_called(answers, persona, [*asked, *asked])
        found.append((sum(flags[: len(asked)]), sum(flags[len(asked) :])))
    base, tuned = found
    return SignalRates(word, persona.name, len(asked), base, tuned, is_seen)


def were_called(answers: Sequence[Answer], persona: Persona, prompts: Sequence[str]) -> list[bool]:
    """Which answers are likelier with the persona's text; `prompts` are without the word."""
    session = current()
    bare = settle(temperature=0.0, max_tokens=TOKENS, adapters=[NONE])
    voice = Voice(name=persona.name, text=persona.instructions, terms=persona.terms)
    voiced = replace(bare, voice=voice)
    with session.using((NONE,)):
        return [
            _score(voiced, prompt, answer) > _score(bare, prompt, answer)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]


def _score(request: Request, prompt: str, answer: Answer) -> float:
    """The answer's log-probability in nats."""
    ids = ids_of(replace(request, prompt=prompt))
    return sum(current().engine.score(ids, answer.raw_tokens))
