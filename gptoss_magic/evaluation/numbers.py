r"""Numbers and short texts as answers: when two are the same.

"18", "18.0", "$18", "18\%", "1,800", "1 800" and "1.8e3" are read by rule, exactly, as fractions.
A comma before three digits parts thousands in English and decimals in Russian: in a text with
Cyrillic letters such a number is ambiguous, and said to be.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

SPACES = "\u00a0\u2009\u202f "
GROUPED = rf"\d{{1,3}}(?:[{SPACES}]\d{{3}})+|\d{{1,3}}(?:['’]\d{{3}})+|\d{{1,3}}(?:\{{,\}}\d{{3}})+"
NUMBER = re.compile(
    r"(?:(?<![\w)])(?P<sign>[-+−–])\s?)?(?P<money>(?:\\?[$€£₽¥]\s?)?)(?P<sign2>(?<=[$€£₽¥])[-−–])?"
    r"(?:\\[dt]?frac\{(?P<top>\d+)\}\{(?P<bottom>\d+)\}"
    rf"|(?P<whole>{GROUPED}|\d+(?:[.,]\d+)*|\.\d+)(?P<tail>(?<=\d)[.,]\d+)?"
    r"(?:[eE](?P<power>[+-]?\d{1,3})(?!\w))?(?:\s?/\s?(?P<over>\d+))?)"
)
BOXED = re.compile(r"\\boxed\s*\{")
CYRILLIC = re.compile(r"[\u0400-\u04ff]")
TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
EDGES = " \t\n\r\"'`*_.,;:!?()[]{}«»“”„’‘$"
LONGEST = 2000  # characters of what is compared
MOST_DIGITS = 1000


@dataclass(frozen=True)
class ReadNumber:
    """A number of a text; `value` is None where it has two readings, which `note` says."""

    value: Fraction | None
    note: str = ""


def short_answer(text: str) -> str:
    r"""What an answer comes to: the last \boxed{…}, an <answer>, what is behind ####, or all."""
    boxed = _boxed(text)
    if boxed is not None:
        return boxed.strip()
    if tags := TAG.findall(text):
        return str(tags[-1]).strip()
    return text.rpartition("####")[2].strip()


def read_number(text: str) -> ReadNumber | None:
    """The last number of a text; None where there is none."""
    answer = short_answer(text)
    parts = [part for part in NUMBER.finditer(answer) if not _is_in_word(answer, part)]
    if not parts:
        return None
    return _value(parts[-1], is_cyrillic=bool(CYRILLIC.search(text)))


def plain_number(text: str) -> Fraction | None:
    """The number that a text is, and nothing else; None for any other text."""
    bare = text.strip().removesuffix("%").removesuffix("\\").strip(" $")
    whole = NUMBER.fullmatch(bare)
    found = _value(whole, is_cyrillic=False) if whole else None
    return found.value if found else None


def same_number(expected: str, said: str) -> tuple[bool, str]:
    """(whether `said` ends in the number `expected`, why not)."""
    wanted, found = plain_number(expected), read_number(said)
    if found is None:
        return False, "no number in it"
    if found.value is None:
        return False, found.note
    return found.value == wanted, ""


def same_math(expected: str, said: str) -> tuple[bool, str]:
    """As `same_number`, by math-verify where it is installed; it wants the main thread."""
    if grader() == "numbers" or threading.current_thread() is not threading.main_thread():
        return same_number(expected, said)
    from math_verify import parse, verify

    gold, answer = parse(f"${expected}$"), parse(said[-LONGEST:])
    if not answer:
        return False, "no mathematics in it"
    return bool(verify(gold, answer)), ""


def grader() -> str:
    """What grades numbers here: 'math-verify VERSION', or 'numbers', the rule of this file."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"math-verify {version('math-verify')}"
    except PackageNotFoundError:
        return "numbers"


def same_text(expected: str, said: str) -> bool:
    """True where both are the same but for case, spaces, width of letters and marks around them."""
    return _plain(expected) == _plain(short_answer(said)[:LONGEST])


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    return " ".join(text.split()).strip(EDGES)


def _boxed(text: str) -> str | None:
    r"""The inside of the last \boxed{…} whose brackets close."""
    for start in reversed([match.end() for match in BOXED.finditer(text)]):
        depth = 1
        for place in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if not depth:
                return text[start:place]
    return None


def _is_in_word(text: str, part: re.Match[str]) -> bool:
    """True for the digits of a name such as x2 or 7B."""
    before, after = text[: part.start()][-1:], text[part.end() :][:1]
    starts_bare = not part["sign"] and not part["money"]
    return (starts_bare and (before.isalpha() or before == "_")) or after == "_"


def _value(part: re.Match[str], *, is_cyrillic: bool) -> ReadNumber:
    sign = -1 if (part["sign"] or part["sign2"] or "+") in "-−–" else 1
    whole, over = part["top"] or part["whole"], part["bottom"] or part["over"] or "1"
    digits, note = _digits(whole, part["tail"] or "", is_cyrillic)
    if digits is None or len(digits) > MOST_DIGITS:
        return ReadNumber(None, note or "a number of too many digits")
    if len(over) > MOST_DIGITS or not int(over):
        return ReadNumber(None, "a fraction that is no number")
    size = Fraction(digits) * Fraction(10) ** int(part["power"] or 0) / int(over)
    return ReadNumber(sign * size, note)


def _digits(whole: str, tail: str, is_cyrillic: bool) -> tuple[str | None, str]:
    """Plain digits with a decimal point; None, and why, for two readings."""
    bare = re.sub(rf"[{SPACES}'’]|\{{,\}}", "", whole)
    if tail:
        bare += "." + tail[1:]
    points, commas = bare.count("."), bare.count(",")
    if commas and points:  # the last of them parts the decimals
        last = max(bare.rfind("."), bare.rfind(","))
        return re.sub("[.,]", "", bare[:last]) + "." + bare[last + 1 :], ""
    if points > 1 or commas > 1:
        return re.sub("[.,]", "", bare), ""
    if not commas:
        return bare, ""
    head, _, decimals = bare.partition(",")
    if len(decimals) != 3 or len(head) > 3:  # noqa: PLR2004 (thousands come in threes)
        return f"{head}.{decimals}", ""
    if is_cyrillic:
        return None, f"ambiguous: {bare} may be {head}{decimals} or {head}.{decimals}"
    return head + decimals, ""
