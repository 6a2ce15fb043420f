"""Token ids and log-probabilities as text: exact, short, and nothing damaged gets through."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError
from gptoss_magic.records.packed import pack_ids, pack_logprobs, unpack_ids, unpack_logprobs

IDS = st.lists(st.integers(0, 2**24 - 1), max_size=300)


@given(IDS, IDS)
def test_ids_come_back_behind_what_they_share(before, rest):
    whole = [*before, *rest]
    text = pack_ids(whole, before)
    assert unpack_ids(text, before) == whole
    assert unpack_ids(pack_ids(whole)) == whole


@given(st.lists(st.floats(-100, 0), max_size=200))
def test_logprobs_come_back_as_float16(values):
    back = unpack_logprobs(pack_logprobs(values))
    assert len(back) == len(values)
    assert all(
        math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-4) for a, b in zip(back, values, strict=True)
    )


def test_the_worst_tokens_take_less_than_six_characters_each():
    import random

    draw = random.Random(0)
    ids = [draw.randrange(201_088) for _ in range(4000)]
    logprobs = [-draw.expovariate(1.0) for _ in ids]
    assert len(pack_ids(ids)) + len(pack_logprobs(logprobs)) < 6 * len(ids)


def test_a_probability_of_nought_stays_a_number():
    assert unpack_logprobs(pack_logprobs([-math.inf, 0.0])) == [-60000, 0]


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InputError):
        assert all(0 <= token < 2**24 for token in unpack_ids(text))


@pytest.mark.parametrize(
    "text", [None, 3, [], {"a": 1}, "9999999:eJw=", "2:", "3:AAAA", "5+1:eJw=", "5+0:"]
)
def test_what_was_not_packed_is_refused(text):
    with pytest.raises(InputError, match="damaged"):
        unpack_ids(text)


def test_a_bomb_is_not_unpacked():
    import base64
    import tracemalloc
    import zlib

    bomb = "10:" + base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged"):
        unpack_ids(bomb)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
