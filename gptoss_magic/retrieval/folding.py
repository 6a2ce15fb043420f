"""Words as they are compared: forms of one letter that only look different are one."""

from __future__ import annotations

import unicodedata
from typing import Any

from gptoss_magic.quoting import encodable

INVISIBLE = str.maketrans("", "", "\u00ad\u2060\ufeff")  # soft hyphens and joiners within a word
FOLDED, PLAIN = "folded", "text"


def folded(text: str) -> str:
    """The text in Unicode's NFKC: full-width letters, ligatures and accents in one form.

    For indexes and queries, never for what is quoted: lines and characters may move.
    """
    text = encodable(text)
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text).translate(INVISIBLE)


def words_column(table: Any) -> str:
    """The column of a table whose words are indexed; tables of older versions have one text."""
    return FOLDED if FOLDED in table.schema.names else PLAIN
