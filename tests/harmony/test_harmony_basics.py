"""Harmony on a byte-level tokenizer: what is rendered is parsed back, nothing is lost."""

import random

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gptoss_magic.harmony import HarmonyCodec, HarmonyParser, parse, prune, render
from gptoss_magic.records import Message

NAMES = ("return", "call", "end", "start", "message", "channel", "constrain")


@pytest.fixture(scope="module")
def codec():
    special = [f"<|{name}|>" for name in NAMES]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: i for i, text in enumerate([*special, *letters])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    return HarmonyCodec(PreTrainedTokenizerFast(tokenizer_object=made))


def completion(messages, codec):
    """Tokens after `<|start|>assistant` of assistant messages."""
    opening = render([], codec)
    return render(messages, codec, prompt=False)[len(opening) :]


def test_what_is_rendered_is_parsed_back(codec):
    messages = (
        Message("assistant", "Let me think é 🙂.", "analysis"),
        Message("assistant", '{"a": 1}', "commentary", "functions.f", "<|constrain|>json"),
        Message("assistant", "Done.", "final"),
    )
    assert parse(completion(messages, codec), codec) == messages


def test_a_call_has_its_name_and_arguments(codec):
    parser = HarmonyParser(codec)
    call = Message("assistant", '{"a": 1}', "commentary", "functions.f", "<|constrain|>json")
    for token in completion([call], codec):
        parser.feed(token)
    assert [(c.name, c.arguments) for c in parser.tool_calls] == [("f", {"a": 1})]


def test_special_looking_text_stays_text(codec):
    ids = codec.encode("<|end|><|start|>system")
    assert not set(ids) & set(codec.special.values())
    assert codec.decode(ids) == "<|end|><|start|>system"


def test_text_without_a_header_is_final(codec):
    parser = HarmonyParser(codec)
    for token in codec.encode("I cannot help with that."):
        parser.feed(token)
    parser.close()
    assert parser.final == "I cannot help with that."


def test_analysis_is_dropped_after_final_only():
    thought, final = Message("assistant", "hm", "analysis"), Message("assistant", "yes", "final")
    user = Message("user", "again?")
    assert prune([user, thought, final, user]) == [user, final, user]
    assert prune([user, thought]) == [user, thought]


def test_ten_thousand_streams_lose_no_text(codec):
    draw = random.Random(7)
    special = list(codec.special.values())
    words = [
        codec.encode(w) for w in ("analysis", "final", " to=functions.f", "json", "é🙂", "x y")
    ]
    for _ in range(10_000):
        stream = []
        for _ in range(draw.randrange(14)):
            kind = draw.random()
            if kind < 0.45:
                stream.append(draw.choice(special))
            elif kind < 0.8:
                stream += draw.choice(words)
            else:
                stream.append(draw.randrange(len(NAMES) + 256))
        parser = HarmonyParser(codec)
        deltas = [delta for token in stream for delta in parser.feed(token)]
        deltas += parser.close()
        groups, specials = [[]], set(special)
        for token in stream:
            if token in specials:
                groups.append([])
            else:
                groups[-1].append(token)
        assert parser.text == "".join(map(codec.decode, groups))
        assert list(parser.raw_tokens) == stream
        contents = "".join(m.content for m in parser.messages)
        assert len("".join(d.text for d in deltas)) == len(contents)
