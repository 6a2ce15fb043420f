"""Words of a text by plain stems, so that inflected words meet: Russian endings, English plurals.

No dictionary: a rule of endings, applied alike to both sides. Words of other languages match as
they stand; scripts without blanks between words are matched by their letters.
"""

from __future__ import annotations

import re
import unicodedata

CYRILLIC = re.compile(r"[\u0400-\u04ff]")
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
WORD = re.compile(rf"(?:(?!{UNSPACED.pattern})\w)+|{UNSPACED.pattern}+")
STRESS = dict.fromkeys(map(ord, "\u0300\u0301"))
LEAST = 3  # letters that a stem keeps
ENDINGS = (  # the longest first
    *("иями", "ьями"),
    *("ями", "ами", "ыми", "ими", "иях", "иям", "ием", "ией", "ьям", "ьях", "ьем", "ьей", "ьев"),
    *("ого", "его", "ому", "ему"),
    *("ях", "ах", "ых", "их", "ям", "ам", "ым", "им", "ем", "ом", "ой", "ей", "ею", "ою", "ая"),
    *("яя", "ое", "ее", "ый", "ий", "ые", "ие", "ую", "юю", "ия", "ию", "ии", "ья", "ье", "ью"),
    *("ьи", "ов", "ев"),
    *"аяоеуюыиьй",
)
VOWELS = "аеиоуыэюя"
FLEETING = re.compile(r"([^аеиоуыэюя])[ое]([^аеиоуыэюяйь])$")  # рынок, рынка
ES = re.compile(r"(?:s|x|z|ch|sh)es$")


def stems(text: str) -> list[str]:
    """The stem of each word of `text`, in order."""
    return [stem(word) for word in WORD.findall(plain(text))]


def plain(text: str) -> str:
    """The text without case, stress marks, and the dots of ё; full-width letters as plain ones."""
    text = unicodedata.normalize("NFKC", text).casefold()
    if CYRILLIC.search(text):
        parts = unicodedata.normalize("NFD", text).translate(STRESS)
        text = unicodedata.normalize("NFC", parts)
    return text.replace("ё", "е")


def stem(word: str) -> str:
    """A plain word without its ending; the same for its inflected forms, as far as a rule goes."""
    if CYRILLIC.search(word):
        return _russian(word)
    if len(word) <= LEAST or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if ES.search(word) else word[:-1]


def _russian(word: str) -> str:
    if word.endswith("мя"):  # время, времени
        word = f"{word[:-1]}ен"
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LEAST:
            word = word[: -len(ending)]
            break
    while len(word) > LEAST and word[-1] in VOWELS:  # героя, герой
        word = word[:-1]
    return FLEETING.sub(r"\1\2", word) if len(word) > LEAST else word
