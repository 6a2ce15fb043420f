"""Text in any script comes back from the built-in model's tokens as it was, whole and in pieces."""

import codecs
import random
import unicodedata

import pytest
from transformers import AutoTokenizer

from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.model.stand_in import DATA

NUM_TEXTS, NUM_SINGLE = 10_000, 300
SCRIPTS = {
    "Latin": ((0x20, 0x7F), (0xA1, 0x250)),
    "Cyrillic": ((0x400, 0x530),),
    "Chinese": ((0x4E00, 0xA000), (0x3000, 0x3003), (0x20000, 0x2A6E0)),
    "Japanese": ((0x3041, 0x3097), (0x30A1, 0x30FF), (0x4E00, 0x9FB0)),
    "Arabic": ((0x600, 0x700), (0x750, 0x780)),
    "Hebrew": ((0x591, 0x5F5),),
    "Devanagari": ((0x900, 0x980),),
    "Korean": ((0xAC00, 0xD7A4),),
    "Thai": ((0xE01, 0xE5C),),
    "emoji": ((0x1F300, 0x1F650), (0x200D, 0x200E), (0xFE0F, 0xFE10)),
}


@pytest.fixture(scope="module")
def codec():
    return HarmonyCodec(AutoTokenizer.from_pretrained(DATA))


def texts(script):
    """Words of letters that there are, with blanks, line ends, digits and stops between them."""
    drawn = random.Random(script)
    letters = [chr(at) for first, end in SCRIPTS[script] for at in range(first, end)]
    letters = [letter for letter in letters if unicodedata.category(letter) not in ("Cn", "Cs")]
    for _ in range(NUM_TEXTS):
        words = ("".join(drawn.choices(letters, k=drawn.randint(1, 9))) for _ in range(3))
        yield drawn.choice(" \n7.،。").join(words)


@pytest.mark.parametrize("script", SCRIPTS)
def test_ten_thousand_texts_come_back(codec, script):
    given = list(texts(script))
    found = codec.tokenizer(given, add_special_tokens=False)["input_ids"]
    assert [codec.decode(ids) for ids in found] == given
    for text, ids in zip(given[:NUM_SINGLE], found, strict=False):
        assert codec.encode(text) == ids
        stream = codecs.getincrementaldecoder("utf-8")()
        assert "".join(stream.decode(codec.token_bytes(token)) for token in ids) == text
