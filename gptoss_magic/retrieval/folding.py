"""Words as they are compared: forms of one letter, and of one word, that are the same are one."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Any

from gptoss_magic.quoting import encodable
from gptoss_magic.stems import arabic_stems, russian_stem

INVISIBLE = str.maketrans("", "", "\u00ad\u2060\ufeff")  # soft hyphens and joiners within a word
WORDS, FOLDED, PLAIN = "words", "folded", "text"
HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
SPACELESS = (  # with kana and hangul, Thai, Lao, Burmese, Khmer
    rf"{HAN}\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\uac00-\ud7a3"
    r"\u0e01-\u0e4e\u0e81-\u0ecd\u1000-\u103f\u1050-\u109f\u1780-\u17d3"
)
CYRILLIC, ARABIC = (
    r"\u0400-\u052f",
    r"\u0610-\u061a\u0620-\u065f\u066e-\u06d3\u06d5-\u06ed\u06fa-\u06ff",
)
FOREIGN = re.compile(f"([{SPACELESS}]+)|([{CYRILLIC}]+)|([{ARABIC}]+)")
ONE_HAN = re.compile(f"[{HAN}]")


def folded(text: str) -> str:
    """The text in Unicode's NFKC: full-width letters, ligatures and accents in one form.

    For indexes and queries, never for what is quoted: lines and characters may move.
    """
    text = encodable(text)
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text).translate(INVISIBLE)


def searchable(text: str) -> str:
    """The text as words to be indexed or asked for, found by the script that each is written in.

    A script without spaces between words (Chinese, Japanese, Korean, Thai and others) becomes
    pairs of neighbouring characters, as Lucene's CJKAnalyzer has them, and Chinese characters one
    by one. Russian and Arabic words lose their endings. Latin ones stay: the index itself stems
    English.
    """
    text = folded(text)
    return text if text.isascii() else FOREIGN.sub(_words, text)


def words_column(table: Any) -> str:
    """The column of a table whose words are indexed; older versions have a text in its place."""
    return next(name for name in (WORDS, FOLDED, PLAIN) if name in table.schema.names)


def asked_words(table: Any, query: str) -> str:
    """The query as the words of that table's column are written."""
    return searchable(query) if words_column(table) == WORDS else folded(query)


def _words(found: re.Match[str]) -> str:
    if found[1]:
        return f" {' '.join((*_pairs(found[1]), *ONE_HAN.findall(found[1])))} "
    return russian_stem(found[2].lower()) if found[2] else " ".join(arabic_stems(found[3]))


def _pairs(run: str) -> list[str]:
    """Each two neighbouring characters; one alone as it is, where no Chinese one."""
    return [*map("".join, pairwise(run))] or ([] if ONE_HAN.match(run) else [run])
