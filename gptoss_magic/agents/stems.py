"""Words of a text by plain stems, so that inflected words meet: Russian endings, English plurals.

No dictionary: rules of endings, applied alike to both sides. Words of other languages match as
they stand; scripts without blanks between words are matched by their letters.
"""

from __future__ import annotations

import re
import unicodedata

from gptoss_magic.stems import russian_stem

CYRILLIC = re.compile(r"[\u0400-\u04ff]")
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
WORD = re.compile(rf"(?:(?!{UNSPACED.pattern})\w)+|{UNSPACED.pattern}+")
STRESS = dict.fromkeys(map(ord, "\u0300\u0301"))
LEAST = 3  # letters that a stem keeps
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
        return russian_stem(word)
    if len(word) <= LEAST or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if ES.search(word) else word[:-1]
