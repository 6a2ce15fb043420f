"""Does the model use the terms of a persona as they are defined there? Graded by rule.

Of each term that is asked about: which definition is its own, which term has a definition, what is
broader, and which name the field prefers. Questions are in Russian where the term is, else in
English. Terms are untrusted: they are quoted, on one line.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.numbers import same_text
from gptoss_magic.evaluation.suite import Suite, SuiteItem, Verdict, drawn, right_if
from gptoss_magic.quoting import harmless, one_line
from gptoss_magic.records.terms import ancestors, split_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.evaluation.suite import Opening
    from gptoss_magic.records import Answer, Term

    Pair = tuple[SuiteItem, Callable[[str], Verdict]]

CHOICES = 4  # of a question, at most
ALL = "all"  # behind the persona: the terms too that rows are grown from
TOKENS = 512
LONGEST = 400  # characters of a definition
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
CYRILLIC = re.compile(r"[\u0400-\u04ff]")
NUMBER = re.compile(r"(?<![\w.,])\d+(?![\w]|[.,]\d)")
YES, NO = ("yes", "да", "верно"), ("no", "нет", "неверно")


@dataclass(frozen=True)
class AskWords:
    """How it is asked in a language."""

    definition: str
    term: str
    broader: str
    preferred: str
    number: str
    yes_no: str
    sentence: str


ENGLISH = AskWords(
    definition="Which of these is the definition of the term «{name}»?",
    term="Which of these terms has this definition: «{text}»?",
    broader="By the definitions of the field, is «{one}» a kind of «{other}»?",
    preferred="Say in one sentence what «{alternative}» is, by the name that the field prefers.",
    number="\n\nYour final answer is the number alone.",
    yes_no="\n\nYour final answer is yes or no alone.",
    sentence="\n\nDo not use the name «{alternative}» in your final answer.",
)
RUSSIAN = AskWords(
    definition="Какое из этих определений — определение термина «{name}»?",
    term="У какого из этих терминов такое определение: «{text}»?",
    broader="Верно ли по определениям области, что «{one}» — вид того, что называют «{other}»?",
    preferred="Скажи одним предложением, что такое «{alternative}», под тем названием, которое "
    "в этой области предпочитают.",
    number="\n\nОкончательный ответ — только номер.",
    yes_no="\n\nОкончательный ответ — только «да» или «нет».",
    sentence="\n\nНазвания «{alternative}» в окончательном ответе быть не должно.",
)


def open_suite(opening: Opening) -> Suite:
    """`PERSONA` asks about the terms that no rows are grown from, `PERSONA:all` about all.

    Raises InputError for a persona without terms, or with one alone.
    """
    name, _, how = opening.part.partition(":")
    if how not in ("", ALL):
        raise InputError(f"suite terms:{opening.part}: give terms:{name} or terms:{name}:{ALL}")
    terms = tuple(opening.means.terms_of(name))
    if len(terms) < 2:  # noqa: PLR2004 (nothing to choose from)
        raise InputError(f"suite terms:{name}: that persona has {len(terms)} terms; give 2 or more")
    learned, asked = split_terms(terms)
    about = terms if how == ALL else asked
    pairs = [pair for term in about for pair in _items(term, terms, opening.seed)]
    checks = {item.id: check for item, check in pairs}

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        return checks[item.id](answer.final)

    items = drawn([item for item, _ in pairs], opening)
    source = f"persona {name}, {len(about)} of its {len(terms)} terms"
    left = _left_out(name, how, learned, asked)
    return Suite(f"terms:{opening.part}", items, grade, source, "rule", TOKENS, left)


def _left_out(
    name: str, how: str, learned: Sequence[Term], asked: Sequence[Term]
) -> tuple[str, ...]:
    """What the plan says of the terms that rows are grown from."""
    if len(asked) == len(learned):  # all of them, since there are too few to split
        return ("too few terms to keep some apart: rows of --from-terms are about the same ones",)
    num = len(learned)
    if how == ALL:
        return (f"nothing; but rows of --from-terms are about {num} of these terms",)
    return (f"{num} terms that --from-terms grows rows from; terms:{name}:{ALL} asks about all",)


def _items(term: Term, terms: Sequence[Term], seed: int) -> Iterator[Pair]:
    """The questions about a term, each with its check."""
    draw = random.Random(f"{seed} {term.name}")  # noqa: S311 (to repeat, no secret)
    words = RUSSIAN if CYRILLIC.search(term.name + term.definition) else ENGLISH
    yield from _chosen(term, terms, words, draw)
    yield from _relations(term, terms, words, draw)
    for alternative in term.synonyms[:1]:
        if not _names(alternative, term.name) and not _names(term.name, alternative):
            yield _preferred(term, alternative, words)


def _chosen(
    term: Term, terms: Sequence[Term], words: AskWords, draw: random.Random
) -> Iterator[Pair]:
    """Its definition among others, and the term among others; relatives are the hardest ones."""
    others = [one for one in terms if one.definition != term.definition]
    draw.shuffle(others)
    near = {*term.broader, *term.narrower, *term.related}
    others.sort(key=lambda one: one.name not in near and not set(one.broader) & set(term.broader))
    choices = [term, *others[: CHOICES - 1]]
    if len(choices) == 1:
        return
    draw.shuffle(choices)
    place = choices.index(term) + 1
    texts = [_masked(one, choices) for one in choices]
    asked = words.definition.format(name=_plain(term.name))
    yield _numbered(f"{term.name}: definition", asked, texts, place, words.number)
    draw.shuffle(choices)
    asked = words.term.format(text=_masked(term, choices))
    names = [_plain(one.name) for one in choices]
    place = choices.index(term) + 1
    yield _numbered(f"{term.name}: term", asked, names, place, words.number)


def _numbered(name: str, question: str, choices: Sequence[str], place: int, ask: str) -> Pair:
    lines = [f"{number}) {text}" for number, text in enumerate(choices, 1)]
    kind = name.rpartition(": ")[2]
    item = SuiteItem(name, "\n".join([question, *lines]), str(place), ask, kind=kind)
    return item, lambda final: graded_choice(final, choices, place)


def _relations(
    term: Term, terms: Sequence[Term], words: AskWords, draw: random.Random
) -> Iterator[Pair]:
    """Is it a kind of what is broader (yes), and of what is not (no): as often."""
    above = ancestors(term, terms)
    if not above:
        return
    others = [one for one in terms if one.name not in above and one.name != term.name]
    below = [one for one in others if term.name in ancestors(one, terms)]
    pairs = [(above[draw.randrange(len(above))], True)]
    pool = below or others
    if pool:
        pairs.append((draw.choice(pool).name, False))
    for other, is_kind in pairs:
        asked = words.broader.format(one=_plain(term.name), other=_plain(other))
        kind = "broader" if is_kind else "not broader"
        item = SuiteItem(
            f"{term.name}: {kind}: {other}", asked, YES[0] if is_kind else NO[0], words.yes_no
        )
        yield replace(item, kind="relation"), partial(graded_yes, is_kind=is_kind)


def _preferred(term: Term, alternative: str, words: AskWords) -> Pair:
    """The preferred name in the place of another one."""
    said = _plain(alternative)
    item = SuiteItem(
        f"{term.name}: preferred",
        words.preferred.format(alternative=said),
        term.name,
        words.sentence.format(alternative=said),
        kind="preferred",
    )
    return item, lambda final: graded_name(final, term.name, alternative)


def graded_choice(final: str, choices: Sequence[str], place: int) -> Verdict:
    """By the one number in the answer that a choice has, or by the words of a choice."""
    numbers = {int(one) for one in NUMBER.findall(final)} & set(range(1, len(choices) + 1))
    said = [n for n, text in enumerate(choices, 1) if same_text(text, final)]
    if said:
        return right_if(said == [place], f"choice {said[0]} was said")
    if len(numbers) != 1:
        return right_if(False, "several numbers in it" if numbers else "no number in it")
    (number,) = numbers
    return right_if(number == place, f"{number} was said")


def graded_yes(final: str, *, is_kind: bool) -> Verdict:
    """By the first yes or no."""
    for word in re.findall(r"\w+", final.casefold()):
        if word in (*YES, *NO):
            return right_if((word in YES) == is_kind, f"{word} was said")
    return right_if(False, "neither yes nor no in it")


def graded_name(final: str, name: str, alternative: str) -> Verdict:
    """The preferred name stands in the answer, in any of its cases, and the other does not."""
    if _names(final, alternative):
        return right_if(False, f"{one_line(alternative, 60)} was said")
    return right_if(_names(final, name), f"{one_line(name, 60)} was not said")


def _masked(term: Term, choices: Sequence[Term]) -> str:
    """Its definition on one line, without any name of the choices, which would give it away."""
    text = _plain(term.definition, LONGEST)
    for label in sorted((one for term in choices for one in term.labels), key=len, reverse=True):
        text = _pattern(label).sub("…", text)
    return text


def _names(text: str, label: str) -> bool:
    """Whether a text has a name in it, endings apart."""
    return bool(_pattern(label).search(text))


def _pattern(label: str) -> re.Pattern[str]:
    """A name's words with other endings; where no blanks stand between words, its letters."""
    words = re.findall(r"\w+", label.casefold())
    if UNSPACED.search(label) or not words:
        return re.compile(re.escape(label), re.IGNORECASE)
    return re.compile(r"(?<!\w)" + r"\W+".join(map(_inflected, words)) + r"(?!\w)", re.IGNORECASE)


def _inflected(word: str) -> str:
    """A word with any ending: a Russian one loses up to two letters, others get up to two."""
    if not word.isalpha():
        return re.escape(word)
    if not CYRILLIC.search(word):
        plural = f"|{re.escape(word[:-1])}ies" if word.endswith("y") else ""
        return rf"(?:{re.escape(word)}\w{{0,2}}{plural})"
    stem = word[:-2] if len(word) > 4 else word  # noqa: PLR2004 (a stem keeps three letters)
    return re.sub("[её]", "[её]", stem) + r"\w{0,4}"


def _plain(text: str, most: int = 200) -> str:
    return harmless(one_line(text, most))
