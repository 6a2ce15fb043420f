"""The channel that a word in a header means, misspelt or cut as it may be."""

from __future__ import annotations

from difflib import get_close_matches

from gptoss_magic.vocabulary import CHANNELS

ANALYSIS, COMMENTARY, FINAL = CHANNELS
THOUGHT = ("think", "thinking", "thought", "reasoning")  # other formats' words for analysis
CLOSE = 0.7  # of difflib: 'anaylsis' is 0.87 like 'analysis', 'fianl' 0.8 like 'final'


def nearest(word: str, shortest: int = 3) -> str:
    """The channel that `word` means: misspelt, cut (to `shortest` letters), or ''."""
    letters = "".join(filter(str.isalpha, word.casefold()))
    if not letters:
        return ""
    for name in CHANNELS:
        if not letters.replace(name, ""):
            return name
    if letters in THOUGHT:
        return ANALYSIS
    for name in CHANNELS:
        is_cut = name.startswith(letters) and len(letters) >= shortest
        if is_cut or (len(letters) > 2 and letters in name):
            return name
    return next(iter(get_close_matches(letters, CHANNELS, 1, CLOSE)), "")
