"""Steps of many tokens: a chunk against transformers, and the bits of a token in company."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptoss_magic.model.backends import native
from gptoss_magic.model.kv_cache import KVCache, fed_behind
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.model.rows_cache import RowsCache
from gptoss_magic.model.step import FEW, DecodeStep
from gptoss_magic.testing import tiny_checkpoint
from tests.model.test_step import begun, by_modules, ids_of, pair, whole

pytestmark = pytest.mark.skipif(native()[0] is None, reason="no C++ library")
NUM = 90
SHAPES = {"small heads": {}, "heads of 32": {"head_dim": 32}, "heads of 96": {"head_dim": 96}}


def read(model, cache, ids):
    """Logits behind each of `ids`, by one step."""
    with torch.no_grad():
        logits = DecodeStep(model).run(fed_behind([cache], [ids], model.dtype), range(len(ids)))
    cache.grow(len(ids))
    return logits


def in_pieces(model, ids, sizes):
    """The same, in steps of these many tokens, and the rest in one."""
    cache, start, found = KVCache(model.config), 0, []
    for size in [*sizes, len(ids)]:
        if piece := ids[start : start + size]:
            found.append(read(model, cache, piece))
            start += len(piece)
    return torch.cat(found)


@pytest.fixture(scope="module")
def wide():
    return pair()


@settings(max_examples=15)
@given(held=st.integers(0, 40), num=st.integers(FEW + 1, 80))
def test_a_chunk_has_transformers_logits(wide, held, num):
    ours, theirs = wide
    ids = ids_of(held + num)
    cache = begun(ours, ids[:held]) if held else KVCache(ours.config)
    logits = read(ours, cache, ids[held:])
    assert (logits - whole(theirs, ids)[held:]).abs().max() < 1e-4
    assert cache.get_seq_length() == len(ids)


def test_chunks_of_several_rows_are_read_apart(wide):
    ours, theirs = wide
    texts = [ids_of(length, seed) for seed, length in enumerate((30, 3, 41))]
    cache = RowsCache(ours.config, 3, 64)
    cache.join(3, KVCache(ours.config), 0)
    with torch.no_grad():
        logits = DecodeStep(ours).run(cache.fed(0, texts, ours.dtype), range(74))
    want = torch.cat([whole(theirs, text) for text in texts])
    assert (logits - want).abs().max() < 1e-4


@pytest.fixture(scope="module", params=[*SHAPES, "packed"])
def tiled(request, tmp_path_factory):
    """A bf16 model that is read by tiles."""
    library = native()[0]
    usual = library.name.removeprefix("C++ (").removesuffix(")")
    if not library.select("amx-bf16"):
        pytest.skip("this processor has no AMX")
    if request.param == "packed":
        folder = tiny_checkpoint(tmp_path_factory.mktemp("packed"), packed=True, sliding_window=8)
        yield load(LoadSettings(str(folder)), lambda *_: None).model
    else:
        yield pair(torch.bfloat16, **SHAPES[request.param])[0]
    library.select(usual)


def is_packed(model):
    return hasattr(model.model.layers[0].mlp.experts, "packed")


@settings(max_examples=15)
@given(sizes=st.lists(st.integers(1, 60), max_size=8))
def test_a_token_has_the_same_bits_in_any_pieces(tiled, sizes):
    """Packed experts are read in two ways: few tokens as they lie, many unpacked."""
    if is_packed(tiled):
        sizes = [size + FEW for size in sizes]
        num = NUM - sum(sizes) % NUM
        ids = ids_of(sum(sizes) + max(num, FEW + 1))
    else:
        ids = ids_of(NUM)
    assert torch.equal(in_pieces(tiled, ids, sizes), in_pieces(tiled, ids, []))


def test_a_token_has_the_same_bits_in_company(tiled):
    texts = [ids_of(length, seed) for seed, length in enumerate((19, 33, 40))]
    caches = [KVCache(tiled.config) for _ in texts]
    with torch.no_grad():
        together = DecodeStep(tiled).run(fed_behind(caches, texts, tiled.dtype), range(92))
    alone = torch.cat([in_pieces(tiled, text, []) for text in texts])
    assert torch.equal(together, alone)


def test_tiles_are_as_near_to_fp32_as_the_modules_are(tiled):
    exact = None if is_packed(tiled) else copy.deepcopy(tiled).float()
    errors = []
    for ids in (ids_of(NUM, seed) for seed in range(3)):
        logits = in_pieces(tiled, ids, [])
        modules = by_modules(tiled, KVCache(tiled.config), ids)
        assert (logits - modules).abs().mean() < 0.02
        if exact is not None:
            want = by_modules(exact, KVCache(tiled.config), ids)
            errors.append([(x - want).norm(dim=-1).median() for x in (logits, modules)])
    if errors:
        ours, usual = torch.tensor(errors).sum(0)
        assert ours < 1.3 * usual


def test_a_chunk_is_taken_where_the_kernels_have_tiles(tiled, wide):
    with torch.no_grad():
        assert not DecodeStep(tiled).why_not(512)
        assert DecodeStep(tiled).why_not(513) == "more than 512 new tokens"
        assert DecodeStep(wide[0]).why_not(FEW + 1) == f"more than {FEW} new tokens"
