"""Problems with their steps, seeded: sums in words, sequences, orders, times, rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tools.stand_in.cases import Case
from tools.stand_in.sources import VOICES

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

GOODS = ("apples", "stamps", "coins", "shells", "cards", "marbles", "books", "eggs", "tickets")
SIZES = (("taller", "tallest", "shortest"), ("older", "oldest", "youngest"))
SIZES += (("faster", "fastest", "slowest"), ("richer", "richest", "poorest"))
GROUPS = (
    ("cats", "a cat", "dogs", "a dog"),
    ("roses", "a rose", "stones", "a stone"),
    ("bakers", "a baker", "pilots", "a pilot"),
    ("trains", "a train", "boats", "a boat"),
)
TRAITS = ("quiet", "warm", "old", "heavy", "bright", "early")


class Problem(NamedTuple):
    """A question, the steps to its answer, the answer in words and what it must hold."""

    question: str
    steps: str
    answer: str
    wanted: str


def chain(draw: random.Random) -> Problem:
    who, what = draw.choice(VOICES["first"]), draw.choice(GOODS)
    first, more = draw.randint(5, 40), draw.randint(2, 30)
    less = draw.randint(1, first + more - 1)
    between, left = first + more, first + more - less
    return Problem(
        f"{who} has {first} {what}, gets {more} more and gives {less} away. How many {what} has "
        f"{who} now?",
        f"{first} + {more} = {between}. {between} - {less} = {left}.",
        f"{who} has {left} {what} now.",
        str(left),
    )


def price(draw: random.Random) -> Problem:
    what, number, cost = draw.choice(VOICES["things"]), draw.randint(2, 9), draw.randint(2, 12)
    paid = number * cost
    return Problem(
        f"One {what} costs {cost} euros. How much do {number} of them cost?",
        f"{number} × {cost} = {paid}.",
        f"They cost {paid} euros.",
        str(paid),
    )


def shared(draw: random.Random) -> Problem:
    what, people, each = draw.choice(GOODS), draw.randint(2, 9), draw.randint(2, 12)
    return Problem(
        f"{people * each} {what} are shared equally by {people} people. How many does each get?",
        f"{people * each} ÷ {people} = {each}.",
        f"Each gets {each} {what}.",
        str(each),
    )


def sequence(draw: random.Random) -> Problem:
    first, step, length = draw.randint(1, 30), draw.randint(2, 9), draw.randint(3, 5)
    numbers = [first + step * place for place in range(length + 1)]
    shown = ", ".join(map(str, numbers[:-1]))
    return Problem(
        f"Which number comes next: {shown}?",
        f"Each number is {step} more than the one before. {numbers[-2]} + {step} = {numbers[-1]}.",
        f"The next number is {numbers[-1]}.",
        str(numbers[-1]),
    )


def order(draw: random.Random) -> Problem:
    more, most, least = draw.choice(SIZES)
    top, middle, low = draw.sample(VOICES["first"], 3)
    said = [f"{top} is {more} than {middle}.", f"{middle} is {more} than {low}."]
    draw.shuffle(said)
    asked, who = draw.choice([(most, top), (least, low)])
    return Problem(
        f"{' '.join(said)} Who is the {asked}?",
        f"{top} is {more} than {middle}, and {middle} is {more} than {low}. So {top} comes first "
        f"and {low} last.",
        f"{who} is the {asked}.",
        who,
    )


def time(draw: random.Random) -> Problem:
    hour, minute, lasts = (
        draw.randint(6, 20),
        draw.choice(range(0, 60, 5)),
        draw.choice(range(10, 100, 5)),
    )
    begins, ends = f"{hour}:{minute:02}", hour * 60 + minute + lasts
    end = f"{ends // 60}:{ends % 60:02}"
    what = draw.choice(("A train", "A film", "A lesson", "A concert", "A bus"))
    return Problem(
        f"{what} begins at {begins} and takes {lasts} minutes. When does it end?",
        f"{minute} + {lasts} = {minute + lasts} minutes, which is {(minute + lasts) // 60} hours "
        f"and {(minute + lasts) % 60} minutes. From {hour}:00 on that is {end}.",
        f"It ends at {end}.",
        end,
    )


def larger(draw: random.Random) -> Problem:
    first, second = draw.sample(range(10, 1000), 2)
    kind, value = draw.choice([("larger", max(first, second)), ("smaller", min(first, second))])
    other = first + second - value
    return Problem(
        f"Which number is {kind}, {first} or {second}?",
        f"{value} is {kind} than {other}.",
        f"{value} is {kind}.",
        str(value),
    )


def parity(draw: random.Random) -> Problem:
    number = draw.randint(3, 400)
    last, kind = number % 10, "odd" if number % 2 else "even"
    return Problem(
        f"Is {number} even or odd?",
        f"The last digit is {last}, which is {kind}.",
        f"{number} is {kind}.",
        kind,
    )


def rule(draw: random.Random) -> Problem:
    many, one, others, other = draw.choice(GROUPS)
    trait, name = draw.choice(TRAITS), draw.choice(VOICES["last"])
    if draw.random() < 0.5:
        return Problem(
            f"All {many} are {trait}. {name} is {one}. Is {name} {trait}?",
            f"{name} is {one}, and all {many} are {trait}.",
            f"Yes, {name} is {trait}.",
            "Yes",
        )
    return Problem(
        f"Only {many} are {trait}. {name} is {other}. Is {name} {trait}?",
        f"{name} is {other}. No {others} are {trait}, since only {many} are.",
        f"No, {name} is not {trait}.",
        "No",
    )


def plain_sum(draw: random.Random) -> Problem:
    first, second, third = draw.randint(2, 60), draw.randint(2, 40), draw.randint(2, 12)
    forms = [
        (f"{first} + {second}", first + second),
        (f"{first + second} - {second}", first),
        (f"{third} × {second % 12 + 2}", third * (second % 12 + 2)),
        (f"{first} + {second} + {third}", first + second + third),
    ]
    asked, value = draw.choice(forms)
    return Problem(f"What is {asked}?", f"{asked} = {value}.", f"It is {value}.", str(value))


FORMS: tuple[Callable[[random.Random], Problem], ...] = (
    *(chain, price, shared, sequence, order, time, larger, parity, rule),
    *(plain_sum, plain_sum, plain_sum),
)


def drawn(draw: random.Random) -> Problem:
    """Any of them."""
    return draw.choice(FORMS)(draw)


def problem(draw: random.Random, effort: str) -> Case:
    """One as a conversation."""
    one = drawn(draw)
    analysis = {
        "low": one.steps,
        "medium": f"I work it out. {one.steps}",
        "high": f"The question is: {one.question} I work it out step by step. {one.steps} So the "
        f"answer is clear: {one.answer}",
    }
    return Case("problem", effort, one.question, analysis[effort], one.answer, one.wanted)


def sheet(draw: random.Random) -> str:
    """Several of them below each other, as a book of exercises has them."""
    head, says, ends = draw.choice(
        [
            ("Problem: ", "Solution: ", " "),
            ("Q: ", "A: ", " "),
            ("", "", "\n"),
            ("Exercise: ", "", "\nAnswer: "),
        ]
    )
    parts = [drawn(draw) for _ in range(9)]
    return "\n\n".join(f"{head}{p.question}\n{says}{p.steps}{ends}{p.answer}" for p in parts)
