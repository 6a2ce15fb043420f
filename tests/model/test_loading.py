"""Loading: once, planned, refused in one line, and really given back."""

import gc
import json
import weakref

import psutil
import pytest
import torch

from gptoss_magic import errors
from gptoss_magic.model.checkpoint import fingerprint, read_checkpoint
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.model.plan import kv_bytes, make_plan, require_fit
from gptoss_magic.session import Session
from gptoss_magic.testing import tiny_checkpoint, tiny_model


def quiet(done, total, note):
    """A progress that shows nothing."""


@pytest.fixture
def tiny(tmp_path):
    return tiny_checkpoint(tmp_path / "tiny")


def test_a_tiny_model_has_logits_for_its_own_tokens():
    model, tokenizer = tiny_model()
    ids = torch.tensor([tokenizer.encode("Hello")])
    assert model(ids).logits.shape == (1, 5, 264)


def test_plan_counts_the_weights_of_the_file(tiny):
    checkpoint = read_checkpoint("tiny", tiny)
    state = load(LoadSettings(str(tiny)), quiet).model.state_dict()
    assert checkpoint.num_bytes == sum(t.numel() * t.element_size() for t in state.values())


def test_kv_cache_bytes_are_those_of_a_real_cache(tiny):
    from gptoss_magic.model.kv_cache import KVCache

    resident = load(LoadSettings(str(tiny)), quiet)
    config = resident.model.config
    cache = KVCache(config)
    with torch.no_grad():
        resident.model(torch.zeros(1, 300, dtype=torch.long), past_key_values=cache)
    held = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    planned = kv_bytes(read_checkpoint("tiny", tiny).config, 512)  # buffers grow by doubling
    assert planned == held * 2


def test_second_load_is_a_no_op(tiny):
    session = Session()
    assert session.load(LoadSettings(str(tiny)))
    loaded = session.loaded
    assert not session.load(LoadSettings(str(tiny)))
    assert session.loaded is loaded
    assert session.load(LoadSettings(str(tiny), context=512), replace=True)
    assert not session.load(LoadSettings(str(tiny)))


def test_another_model_needs_replace(tiny, tmp_path):
    session = Session()
    session.load(LoadSettings(str(tiny)))
    other = tiny_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(errors.InputError, match="--replace"):
        session.load(LoadSettings(str(other)))
    assert session.load(LoadSettings(str(other)), replace=True)


def test_unload_frees_the_model(tmp_path):
    big = tiny_checkpoint(tmp_path / "big", hidden_size=1024, intermediate_size=1024)
    session, process = Session(), psutil.Process()
    session.load(LoadSettings(str(big)))
    session.unload()
    before = process.memory_info().rss
    session.load(LoadSettings(str(big)))
    size = session.resident.plan.weights
    sum(float(p.sum()) for p in session.resident.model.parameters())  # the file is mapped: touch it
    held = process.memory_info().rss
    alive = weakref.ref(session.resident.model)
    parameter = weakref.ref(next(session.resident.model.parameters()))
    session.unload()
    assert alive() is None
    assert parameter() is None
    assert held - before > 0.8 * size
    assert process.memory_info().rss - before < 0.3 * size


def test_too_little_memory_says_what_would_fit(tiny):
    checkpoint = read_checkpoint("tiny", tiny)
    plan = make_plan(checkpoint, "cpu", 2048, make_plan(checkpoint, "cpu", 256, 0).needed)
    small = make_plan(checkpoint, "cpu", 2048, plan.needed - 1)
    with pytest.raises(errors.DoesNotFit, match="--context 1024 would fit"):
        require_fit(small, checkpoint.config)
    nothing = make_plan(checkpoint, "cpu", 2048, 1000)
    with pytest.raises(errors.DoesNotFit, match="built-in"):
        require_fit(nothing, checkpoint.config)


def damage_config(path):
    (path / "config.json").write_text("{")


def drop_config(path):
    (path / "config.json").unlink()


def change_type(path):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))


def cut_weights(path):
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def garble_header(path):
    file = path / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[8:40] = b"x" * 32
    file.write_bytes(raw)


def drop_weights(path):
    (path / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "damage", [damage_config, drop_config, change_type, cut_weights, garble_header, drop_weights]
)
def test_a_damaged_checkpoint_is_one_line(tiny, damage):
    damage(tiny)
    session = Session()
    with pytest.raises(errors.CheckpointError) as caught:
        session.load(LoadSettings(str(tiny)))
    assert "\n" not in str(caught.value)
    assert str(tiny) in str(caught.value)
    assert session.resident is None


def test_a_missing_tensor_is_named(tiny):
    from safetensors.torch import load_file, save_file

    state = load_file(tiny / "model.safetensors")
    state.pop("model.norm.weight")
    save_file(state, tiny / "model.safetensors")
    with pytest.raises(errors.CheckpointError, match=r"model\.norm\.weight"):
        load(LoadSettings(str(tiny)), quiet)


def test_impossible_scales_mean_a_damaged_file(tmp_path):
    from safetensors.torch import load_file, save_file

    path = tiny_checkpoint(tmp_path, packed=True)
    state = load_file(path / "model.safetensors")
    state["model.layers.1.mlp.experts.down_proj_scales"][3, 2, 1] = 255
    save_file(state, path / "model.safetensors")
    with pytest.raises(errors.CheckpointError, match=r"layers\.1.*255"):
        load(LoadSettings(str(path)), quiet)


@pytest.mark.parametrize("name", ["no such thing", "./nowhere/x", "a/b/c"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(errors.InputError, match="neither"):
        load(LoadSettings(name), quiet)


@pytest.mark.parametrize("options", [{"device": "cuda:99"}, {"device": "x"}, {"context": -1}])
def test_a_wrong_device_or_context_is_one_line(tiny, options):
    with pytest.raises(errors.InputError, match=r"device|context") as caught:
        load(LoadSettings(str(tiny), **options), quiet)
    assert "\n" not in str(caught.value)


def test_offline_hub_name_that_is_not_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(errors.CheckpointError, match="local cache"):
        load(LoadSettings("openai/gpt-oss-not-there", offline=True), quiet)


def test_an_interrupted_load_leaves_the_session_as_it_was(tiny):
    def interrupt(done, total, note):
        if done > total / 2:
            raise KeyboardInterrupt

    session = Session()
    with pytest.raises(KeyboardInterrupt):
        session.load(LoadSettings(str(tiny)), interrupt)
    assert session.resident is None
    gc.collect()
    assert session.load(LoadSettings(str(tiny)))


def test_fingerprint_tells_checkpoints_apart(tiny, tmp_path):
    other = tiny_checkpoint(tmp_path / "other", seed=1)
    same = tiny_checkpoint(tmp_path / "same")
    prints = [fingerprint(read_checkpoint("x", p)) for p in (tiny, other, same)]
    assert prints[0] == prints[2] != prints[1]
