"""60,000 malformed harmony streams: no exception, no lost text, the right channel."""

import random
from collections import Counter

import pytest
from harmony_mutants import Writer, decided, parsed, texts_of
from harmony_reference import RealTokenizer

from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.testing import tiny_tokenizer


@pytest.fixture(scope="module", params=["real", "bytes"])
def codec(request):
    return HarmonyCodec(RealTokenizer() if request.param == "real" else tiny_tokenizer())


def check_whole(parser, deltas, pieces, codec):
    """Nothing of the stream is lost, and the deltas are the messages.

    A text's token stands in a message's content; where it went into a header's word, it is told.
    """
    tokens = [piece.token for piece in pieces]
    groups, special = [[]], set(codec.special.values())
    for token in tokens:
        if token in special:
            groups.append([])
        else:
            groups[-1].append(token)
    assert parser.raw_tokens == tokens
    assert parser.text == "".join(map(codec.decode, groups))
    headers = [text for m in parser.messages for text in (m.recipient, m.content_type) if text]
    kept = " ".join([*headers, *parser.repairs])
    silent = [
        (piece, codec.decode(tokens))
        for piece, place in zip(pieces, parser.places, strict=True)
        if piece.part in ("content", "inserted") and place < 0
        if codec.decode([piece.token]).strip() not in kept
    ]
    assert silent == []
    contents = [""] * len(parser.messages)
    for delta in deltas:
        contents[delta.message] += delta.text
    assert contents == [m.content for m in parser.messages]


def right_channels(completion, pieces, parser, codec):
    """(messages decided, messages right, what went wrong)."""
    num, right, wrong = 0, 0, []
    channels = [m.channel for m in parser.messages]
    for number, channel in enumerate(completion.channels):
        if not decided(completion, pieces, number, codec):
            continue
        places = [parser.places[n] for n in texts_of(pieces, number)]
        of = Counter("header" if place < 0 else channels[place] for place in places)
        num += 1
        right += set(of) == {channel}
        if set(of) != {channel}:
            wrong.append((channel, dict(of)))
    return num, right, wrong


def share(codec, seed, num_streams):
    draw = random.Random(seed)
    num = right = 0
    wrong = []
    for _ in range(num_streams):
        writer = Writer(codec, draw)
        completion = writer.completion()
        pieces = writer.mutated(completion.pieces, draw.choice((1, 1, 1, 2, 2, 3)))
        tokens = [piece.token for piece in pieces]
        parser, deltas = parsed(tokens, codec)
        check_whole(parser, deltas, pieces, codec)
        counts = right_channels(completion, pieces, parser, codec)
        num, right = num + counts[0], right + counts[1]
        wrong += [(codec.decode(tokens), *counts[2])] if counts[2] else []
    return num, right, wrong


def test_well_formed_streams_need_no_repair(codec):
    draw = random.Random(3)
    for _ in range(300):
        completion = Writer(codec, draw).completion()
        tokens = [piece.token for piece in completion.pieces]
        parser, deltas = parsed(tokens, codec)
        check_whole(parser, deltas, completion.pieces, codec)
        assert parser.repairs == ()
        assert [m.channel for m in parser.messages] == completion.channels
        assert [c.name for c in parser.tool_calls] == [tool for tool in completion.tools if tool]
        assert [d.channel for d in deltas] == [parser.messages[d.message].channel for d in deltas]


def test_malformed_streams(codec):
    num, right, wrong = share(codec, 11, 1_500)
    assert num > 2_000
    assert right >= 0.99 * num, wrong[:5]


@pytest.mark.slow
def test_sixty_thousand_malformed_streams(codec):
    num, right, wrong = share(codec, 12, 30_000)
    print(f"\n{num} messages decided, {right} right ({right / num:.2%})")
    assert right >= 0.99 * num, wrong[:5]
