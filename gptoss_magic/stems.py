"""Words of Russian and Arabic without their endings, so that a question's form finds a text's.

Russian: Snowball's algorithm (snowballstem.org/algorithms/russian), and behind it the vowels that
come and go (рынок, рынка; герой, героя). Arabic: light10 (Larkey, Ballesteros and Connell, Light
Stemming for Arabic Information Retrieval, 2007): the article, a leading "and" and frequent endings
go, and letters that are written in several ways are one; beside it, the same without long vowels.
Both are rules without a dictionary: they cut alike what belongs together, not to a word's lemma.
"""

from __future__ import annotations

import re
from functools import lru_cache

KEPT = 100_000  # words whose stem is remembered
LEAST, LEAST_ARABIC = 3, 2  # letters that a stem keeps

VOWELS = "аеиоуыэюя"
BEHIND_VOWEL = re.compile(f"^[^{VOWELS}]*[{VOWELS}]")
REGION = re.compile(f"^[^{VOWELS}]*[{VOWELS}]+[^{VOWELS}]")
GERUND = re.compile("(?:(?<=[ая])(?:вшись|вши|в)|ившись|ывшись|ивши|ывши|ив|ыв)$")
REFLEXIVE = re.compile("(?:ся|сь)$")
ADJECTIVE = (
    "(?:ими|ыми|его|ого|ему|ому|ее|ие|ые|ое|ей|ий|ый|ой|ем|им|ым|ом|их|ых|ую|юю|ая|яя|ою|ею)$"
)
PARTICIPLE = "(?:(?<=[ая])(?:ем|нн|вш|ющ|щ)|ивш|ывш|ующ)"
ADJECTIVAL = re.compile(f"(?:{PARTICIPLE})?{ADJECTIVE}")
VERB = re.compile(
    "(?:(?<=[ая])(?:ете|йте|ешь|нно|ла|на|ли|ем|ло|но|ет|ют|ны|ть|й|л|н)|"
    "ейте|уйте|ила|ыла|ена|ите|или|ыли|ило|ыло|ено|ует|уют|ены|ить|ыть|ишь|"
    "ей|уй|ил|ыл|им|ым|ен|ят|ит|ыт|ую|ю)$"
)
NOUN = re.compile(
    "(?:иями|ями|ами|ией|иям|ием|иях|ев|ов|ие|ье|еи|ии|ей|ой|ий|ям|ем|ам|ом|ах|ях|ию|ью|ия|ья|"
    "а|е|и|й|о|у|ы|ь|ю|я)$"
)
INFLECTED = (ADJECTIVAL, VERB, NOUN)
DERIVED = re.compile("(?:ость|ост)$")
SUPERLATIVE = re.compile("(?:ейше|ейш)$")
TIME = re.compile("(?:мя|мен(?:а|ам|ами|ах|и|ем)?|мён)$")  # время, времени, имён
FLEETING = re.compile(f"([^{VOWELS}])[ое]([^{VOWELS}йь])$")

MARKS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")  # vowels, the tatweel
ALIKE = str.maketrans("أإآٱىةیک", "اااايهيك")  # the last two are Persian's
LONG_VOWELS = re.compile("[اويئؤء]")
ARTICLES = ("وال", "بال", "كال", "فال", "لل", "ال")
ENDINGS = ("ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي")


@lru_cache(KEPT)
def russian_stem(word: str) -> str:
    """A word in lower case; one in another language's Cyrillic loses what looks like an ending."""
    stem = TIME.sub("мен", word) if TIME.search(word) else snowball(word)
    if len(stem) > LEAST:
        stem = stem[:-1] if stem[-1] in VOWELS else stem
    return FLEETING.sub(r"\1\2", stem) if len(stem) > LEAST else stem


def snowball(word: str) -> str:
    """The same as Snowball has it."""
    word = word.replace("ё", "е")
    begin = _end(BEHIND_VOWEL, word, 0)
    tail = _inflected(word[begin:]).removesuffix("и")
    derived = DERIVED.search(tail)
    if derived and begin + derived.start() >= _end(REGION, word, _end(REGION, word, 0)):
        tail = tail[: derived.start()]
    return word[:begin] + _last(tail)


def _end(pattern: re.Pattern[str], word: str, start: int) -> int:
    """Where `pattern` ends in what follows `start`; the word's end where it is not there."""
    found = pattern.match(word[start:])
    return start + found.end() if found else len(word)


def _inflected(tail: str) -> str:
    """Without a gerund's ending; else without a reflexive, and an adjective's, verb's or noun's."""
    bare = GERUND.sub("", tail)
    if bare != tail:
        return bare
    tail = REFLEXIVE.sub("", tail)
    return next((bare for end in INFLECTED if (bare := end.sub("", tail)) != tail), tail)


def _last(tail: str) -> str:
    """Without a superlative, one of two н, or a soft sign."""
    bare = SUPERLATIVE.sub("", tail)
    if bare.endswith("нн"):
        return bare[:-1]
    return bare if bare != tail else tail.removesuffix("ь")


@lru_cache(KEPT)
def arabic_stems(word: str) -> tuple[str, ...]:
    """A word of Arabic script without what stands around it; also without its long vowels.

    The latter is what a noun and its broken plural share (كتاب, كتب); of less than three letters
    it says too little.
    """
    word = MARKS.sub("", word).translate(ALIKE)
    if word.startswith("و") and len(word) > LEAST:
        word = word[1:]
    article = next((one for one in ARTICLES if word.startswith(one)), "")
    if len(word) - len(article) >= LEAST_ARABIC:
        word = word[len(article) :]
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LEAST_ARABIC:
            word = word[: -len(ending)]
    bare = LONG_VOWELS.sub("", word)
    return (word, bare) if LEAST <= len(bare) < len(word) else (word,)
