"""Adapters that live together: switching, scales, caches, merged checkpoints, what is refused."""

import contextlib
import copy
import json
import resource
import shutil

import pytest
import torch
from adapter_cases import (
    EXPERTS,
    IDS,
    expert_lora,
    logits,
    lora,
    made_by_peft,
    mixed,
    packed_pair,
    plain_pair,
    randn,
    same_parts,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import gptoss_magic
from gptoss_magic.adapters import Adapter, Shelf, read_adapter, write_adapter
from gptoss_magic.adapters import merge as merging
from gptoss_magic.errors import CheckpointError, ContextOverflow, InputError, StorageError
from gptoss_magic.generation import BatchPrompt, SamplingSettings, stream_batch
from gptoss_magic.generation.score import log_likelihood
from gptoss_magic.model.load import LoadSettings
from gptoss_magic.model.parts import (
    ExpertWeights,
    LinearLora,
    Prefix,
    RouterDelta,
    SoftPrompt,
)
from gptoss_magic.session import Session, current
from gptoss_magic.testing import tiny_checkpoint, tiny_tokenizer
from gptoss_magic.turns.status import status

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
QUERY = "model.layers.{}.self_attn.q_proj"
GREEDY = SamplingSettings(temperature=0, max_tokens=12)


@pytest.fixture(scope="module")
def plain():
    return plain_pair()


@pytest.fixture
def shelf(plain):
    return Shelf(plain[0], IDS[0].tolist())


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A session of its own with three adapters."""
    session = Session()
    path = tiny_checkpoint(tmp_path_factory.mktemp("shelf") / "tiny", seed=3)
    session.load(LoadSettings(str(path), context=2048))
    session.shelf.add(mixed("a"))
    session.shelf.add(Adapter("soft", (SoftPrompt(randn(4, 64, seed=3) * 5),)))
    session.shelf.add(Adapter("prefix", (Prefix(randn(2, 2, 2, 6, 16, seed=4) * 10),)))
    return session


def full_expert(expert=4, seed=0):
    weights = {
        "gate_up_proj": randn(128, 64, seed=seed),
        "gate_up_proj_bias": randn(128, seed=seed),
        "down_proj": randn(64, 64, seed=seed),
        "down_proj_bias": randn(64, seed=seed),
    }
    return ExpertWeights(EXPERTS.format(0), expert, weights)


def attached_to(model):
    """Everything that stands beside a model."""
    found = []
    for module in model.modules():
        found += list(module._forward_hooks.values())  # noqa: SLF001
        found += module.taps.branches if hasattr(module, "taps") else []
        found += getattr(module, "branches", [])
    return found


def query(layer, seed):
    return LinearLora(QUERY.format(layer), randn(3, 64, seed=seed), randn(64, 3, seed=9), 1.0)


def test_two_adapters_at_once_are_their_sum(plain, shelf):
    """Beside each other they are what both changes of the weights together are."""
    first, second = query(0, 1), query(0, 2)
    shelf.add(Adapter("first", (first, expert_lora((1, 2), layer=0))), 0.5)
    shelf.add(Adapter("second", (second, expert_lora((2, 3), layer=0, seed=5))))
    summed = copy.deepcopy(plain[1])
    experts = summed.get_submodule(EXPERTS.format(0)).gate_up_proj
    with torch.no_grad():
        for name, scale in (("first", 0.5), ("second", 1.0)):
            linear, branch = shelf.held[name].adapter.parts
            summed.get_submodule(linear.target).weight += linear.b @ linear.a * scale
            for at, expert in enumerate(branch.experts):
                experts[expert] += (branch.b[at] @ branch.a[at]).T * branch.scaling * scale
        want = summed(IDS).logits
    torch.testing.assert_close(logits(shelf, "first", "second"), want, **CLOSE)
    torch.testing.assert_close(logits(shelf, "second", "first"), want, **CLOSE)
    assert not torch.allclose(logits(shelf, "first"), want, **CLOSE)


def test_a_scale_changes_without_reading_again(shelf):
    base = logits(shelf)
    shelf.add(Adapter("x", (query(0, 1),)))
    whole = logits(shelf, "x")
    shelf.rescale("x", 0.0)
    assert torch.equal(logits(shelf, "x"), base)
    shelf.rescale("x", 1.0)
    assert torch.equal(logits(shelf, "x"), whole)
    with pytest.raises(InputError, match="give a number"):
        shelf.rescale("x", float("nan"))


def test_what_changes_nothing_is_said(shelf):
    part = expert_lora((0, 1))
    with torch.no_grad():
        part.b.zero_()
    attached = shelf.add(Adapter("zero", (part,)))
    assert attached.change == 0
    assert "changes nothing: its last factors are all zero" in str(attached)
    changing = str(shelf.add(Adapter("one", (query(0, 1),))))
    assert "LoRA r=3 on 1 × q_proj; 384 parameters" in changing
    assert "logits change by up to" in changing


def test_an_adapter_says_what_it_is():
    about = Adapter("all", (*mixed().parts, full_expert())).describe()
    assert "LoRA r=2 on 1 × q_proj, 1 × router; LoRA r=4 on 1 × lm_head" in about
    assert "LoRA r=2 to 5 on 6 experts in 2 layers (gate_up_proj, down_proj)" in about
    assert "1 router in full; 1 expert in full in 1 layer" in about
    assert Adapter("p", (SoftPrompt(randn(4, 64)),)).describe() == (
        "soft prompt of 4 virtual tokens; 256 parameters"
    )


def test_a_uid_follows_the_content():
    adapter, same = Adapter("x", (query(0, 1),)), Adapter("y", (query(0, 1),))
    before = adapter.uid
    assert before == same.uid == Adapter("z", (query(0, 1),)).uid
    with torch.no_grad():
        adapter.parts[0].b[0, 0] += 1
    assert adapter.uid not in {before, Adapter("x", (query(1, 1),)).uid}
    with torch.no_grad():
        adapter.parts[0].b[0, 0] -= 1
        adapter.parts[0].b.copy_(same.parts[0].b)
    assert adapter.uid == before


def fail_within(shelf, error):
    with shelf.active(("b",)):
        assert len(attached_to(shelf.model)) == 2
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_after_an_error_nothing_stays_beside_the_model(shelf, error):
    shelf.add(mixed("a"))
    shelf.add(Adapter("b", (query(1, 1), full_expert())))
    with shelf.active(("a",)):
        outer = attached_to(shelf.model)
        with pytest.raises(error):
            fail_within(shelf, error)
        assert len(attached_to(shelf.model)) == len(outer) == 7
    assert attached_to(shelf.model) == []


def test_experts_in_full_stand_below_what_is_added(plain, shelf):
    """LoRA on an expert that another adapter replaces adds to the replacement."""
    part = expert_lora((4,), layer=0)
    shelf.add(Adapter("lora", (part,)))
    shelf.add(Adapter("full", (full_expert(4),)))
    want = copy.deepcopy(plain[1])
    experts, full = want.get_submodule(EXPERTS.format(0)), full_expert(4)
    with torch.no_grad():
        experts.gate_up_proj[4] = (full.gate_up_proj + part.b[0] @ part.a[0] * 2).T
        experts.gate_up_proj_bias[4] = full.gate_up_proj_bias
        experts.down_proj[4], experts.down_proj_bias[4] = full.down_proj.T, full.down_proj_bias
        wanted = want(IDS).logits
    for order in (("lora", "full"), ("full", "lora")):
        torch.testing.assert_close(logits(shelf, *order), wanted, **CLOSE)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("nobody",), "no such adapter"),
        (("soft", "prefix"), "at most one soft"),
        (("none", "soft"), "leave the other names out"),
        (("full", "too"), "both replace"),
    ],
)
def test_names_that_cannot_be_used(shelf, names, says):
    shelf.add(Adapter("soft", (SoftPrompt(randn(4, 64)),)))
    shelf.add(Adapter("prefix", (Prefix(randn(2, 2, 2, 6, 16)),)))
    shelf.add(Adapter("full", (full_expert(4),)))
    shelf.add(Adapter("too", (full_expert(4, seed=1),)))
    shelf.use(["soft"])
    with pytest.raises(InputError, match=says):
        shelf.use(names)
    assert shelf.default == ("soft",)
    with pytest.raises(InputError, match="no scale"):
        shelf.rescale("soft", 0.5)
    for name in ("", "base", "two words", "soft"):
        with pytest.raises(InputError, match="--as NAME"):
            shelf.add(Adapter(name, (query(0, 1),)))
    shelf.detach("soft")
    assert shelf.default == ()


def test_a_turn_under_a_then_base_then_a_is_as_cold(loaded):
    """One conversation, other adapters at each turn: what was computed is never taken over."""
    engine = loaded.local_engine
    engine.prefixes.held.clear()  # of other tests
    ids, cached = list(range(20, 90)), []
    draw = torch.Generator().manual_seed(5)
    for name in ("a", "none", "a", "soft", "none", "prefix", "a", "soft"):
        ids += torch.randint(8, 264, (5,), generator=draw).tolist()
        with loaded.using([name]):
            stream = engine.stream(ids, GREEDY, conversation="one")
            warm = [d.token_id for d in stream]
            cached.append(stream.num_cached)
            stream.close()
            held = engine.prefixes.take("one", ids)
            logits_V = engine.prefill(ids[len(held.tokens) :], held)[-1]
            cold_engine = engine.apart()
            cold = [d.token_id for d in cold_engine.stream(ids, GREEDY, cold=True)]
            cold_V = cold_engine.prefill([ids[-1]], cold_engine.prefixes.take("", ids))[-1]
        assert warm == cold
        torch.testing.assert_close(logits_V, cold_V, **CLOSE)
    assert [count > 0 for count in cached] == [False, False, True, False, True, False, True, True]


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "none", "soft", "prefix"]),
            st.sampled_from(["x", "y"]),
            st.integers(0, 60),
            st.integers(1, 40),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_any_walk_over_adapters_and_conversations_has_cold_logits(loaded, walk):
    engine = loaded.local_engine
    ids = []
    for number, (name, conversation, keep, add) in enumerate(walk):
        draw = torch.Generator().manual_seed(number)
        ids = ids[:keep] + torch.randint(8, 264, (add,), generator=draw).tolist()
        with loaded.using([name]) as active:
            held = engine.prefixes.take(conversation, ids)
            ours = engine.prefill(ids[len(held.tokens) :], held)[-1]
            apart = engine.apart()
            assert apart.prefixes.beside.num_virtual == active.num_virtual
            cold = apart.prefill(ids, apart.prefixes.take("", ids))[-1]
        torch.testing.assert_close(ours, cold, **CLOSE)


def test_a_batch_beside_adapters_says_what_single_turns_say(loaded):
    engine = loaded.local_engine
    prompts = [list(range(20, 60)) + [100 + n] * (n + 1) for n in range(4)]
    for name in ("a", "soft", "prefix", "none"):
        with loaded.using([name]):
            alone = [[d.token_id for d in engine.stream(p, GREEDY, cold=True)] for p in prompts]
            together = [[] for _ in prompts]
            for index, delta in stream_batch(engine, [BatchPrompt(p, GREEDY) for p in prompts], 3):
                together[index].append(delta.token_id)
        assert together == alone


def test_virtual_tokens_count_towards_the_context(loaded):
    engine = loaded.local_engine
    ids = [50] * (2048 - 12)
    with loaded.using(["none"]):
        engine.check(ids, 12)
    with loaded.using(["soft"]), pytest.raises(ContextOverflow, match="4 virtual and 2036 prompt"):
        engine.check(ids, 12)


def test_routes_are_those_of_real_tokens(loaded):
    """A soft prompt's own positions are no tokens of the trace, but they change it."""
    engine = loaded.local_engine
    ids, traces = list(range(20, 60)), {}
    for name in ("soft", "none"):
        with loaded.using([name]):
            stream = engine.stream(ids, GREEDY, routing=True)
            said = [d.token_id for d in stream]
            traces[name] = stream.trace([*ids, *said])
        assert traces[name].ids.shape[:2] == (len(ids) + len(said) - 1, 2)
    both = zip(traces["soft"].weights, traces["none"].weights, strict=False)
    assert any((mine != theirs).any() for mine, theirs in both)


def test_a_likelihood_is_that_of_one_forward(loaded):
    engine = loaded.local_engine
    prompt, answer = list(range(20, 60)), [*range(100, 250), 5]
    for name in ("a", "soft", "none"):
        with loaded.using([name]) as active:
            ours = log_likelihood(engine, prompt, answer)
            again = log_likelihood(engine, prompt, answer)
            cache = engine.apart().prefixes.take("", prompt).cache
            with torch.no_grad():
                ids = torch.tensor([prompt + answer])
                out = engine.model(ids, past_key_values=cache, use_cache=True).logits[0]
        assert cache.layers[0].length == active.num_virtual + len(prompt) + len(answer)
        said = out[len(prompt) - 1 : -1].log_softmax(-1)
        want = said.gather(1, torch.tensor(answer)[:, None]).mean()
        assert ours == pytest.approx(float(want), abs=1e-4)
        assert again == pytest.approx(ours, abs=1e-5)


@pytest.mark.parametrize("kind", ["plain", "packed"])
def test_a_merged_checkpoint_has_our_logits_in_plain_transformers(tmp_path, kind):
    ours = plain_pair()[0] if kind == "plain" else packed_pair(tmp_path)[0]
    shelf = Shelf(ours, IDS[0].tolist())
    shelf.add(mixed("a"), 0.7)
    shelf.add(Adapter("b", (query(1, 1), full_expert(), expert_lora((4,), layer=0, seed=30))))
    told = []
    path = shelf.export_merged(
        ["a", "b"], tiny_tokenizer(), tmp_path / "merged", lambda *said: told.append(said)
    )
    opened = AutoModelForCausalLM.from_pretrained(path)
    with torch.no_grad():
        torch.testing.assert_close(opened(IDS).logits, logits(shelf, "a", "b"), **CLOSE)
    assert AutoTokenizer.from_pretrained(path)("hello").input_ids
    assert told[-1][:2] == (3, 3)
    config = json.loads((path / "config.json").read_text())
    assert "quantization_config" not in config
    pairs = [(held.adapter, held.scale) for held in shelf.held.values()]
    written = sum(
        t.numel() * t.element_size()
        for f in path.glob("*.safetensors")
        for t in load_file(f).values()
    )
    assert merging.merged_bytes(ours, merging._parts(pairs)) == written  # noqa: SLF001
    with pytest.raises(InputError, match="is there already"):
        shelf.export_merged(["a"], tiny_tokenizer(), path)


def test_a_packed_model_is_merged_into_bf16_values(tmp_path):
    session = Session()
    session.load(LoadSettings(str(tiny_checkpoint(tmp_path / "p", packed=True))))
    part = expert_lora((3,), layer=0)
    session.shelf.add(Adapter("x", (part,)))
    path = session.shelf.export_merged(["x"], tiny_tokenizer(), tmp_path / "merged")
    tensors = {k: t for f in path.glob("*.safetensors") for k, t in load_file(f).items()}
    module = session.resident.model.get_submodule(EXPERTS.format(0))
    packed, _ = module.packed("gate_up_proj")
    for expert in (3, 4):
        want = packed.expert(expert, torch.float32)
        if expert == 3:
            want = want + part.b[0].detach() @ part.a[0].detach() * 2.0
        merged = tensors[f"{EXPERTS.format(0)}.gate_up_proj"][expert]
        assert merged.dtype == torch.bfloat16
        assert torch.equal(merged, want.T.bfloat16())


def test_a_tied_head_is_untied_where_it_was_tuned(tmp_path):
    from gptoss_magic.model.resident import make_resident
    from gptoss_magic.testing import tiny_model

    model, tokenizer = tiny_model(tie_word_embeddings=True)
    make_resident(model)
    shelf = Shelf(model, IDS[0].tolist())
    shelf.add(Adapter("head", (LinearLora("lm_head", randn(4, 64), randn(264, 4), 1.0),)))
    shelf.add(Adapter("x", (query(0, 1),)))
    for name in ("head", "x"):
        path = shelf.export_merged([name], tokenizer, tmp_path / name)
        opened = AutoModelForCausalLM.from_pretrained(path)
        with torch.no_grad():
            torch.testing.assert_close(opened(IDS).logits, logits(shelf, name), **CLOSE)
        assert json.loads((path / "config.json").read_text())["tie_word_embeddings"] == (
            name == "x"
        )


def test_what_cannot_be_merged_or_exported(loaded, tmp_path):
    shelf = loaded.shelf
    with pytest.raises(InputError, match="no weight"):
        shelf.export_merged(["soft"], tiny_tokenizer(), tmp_path / "x")
    shelf.add(Adapter("full", (full_expert(),)))
    with pytest.raises(InputError, match="--merged"):
        shelf.export("full", tmp_path / "x")
    shelf.detach("full")
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_takes_anothers_place_and_nothing_elses(plain, tmp_path):
    kept = write_adapter(mixed("a"), plain[0], tmp_path / "a")
    with pytest.raises(InputError, match="two adapters"):
        write_adapter(Adapter("two", (query(0, 1), query(0, 2))), plain[0], kept)
    same_parts(mixed(), read_adapter(kept, plain[0]))
    write_adapter(Adapter("one", (query(0, 1),)), plain[0], kept)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]
    assert len(read_adapter(kept, plain[0]).parts) == 1
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "my.txt").write_text("mine")
    with pytest.raises(InputError, match="something else is there"):
        write_adapter(mixed(), plain[0], tmp_path / "notes")
    assert (tmp_path / "notes" / "my.txt").read_text() == "mine"


@contextlib.contextmanager
def small_files():
    """The system refuses to write beyond 4 KiB of a file, as a full disk does.

    For the writing alone: pytest's own report may go to a longer file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_no_more_can_be_written_nothing_half_stays(plain, shelf, tmp_path):
    shelf.add(mixed("a"))
    kept = shelf.export("a", tmp_path / "a")
    for write in (
        lambda: write_adapter(mixed(), plain[0], kept),
        lambda: write_adapter(mixed(), plain[0], tmp_path / "b"),
        lambda: shelf.export_merged(["a"], tiny_tokenizer(), tmp_path / "c"),
        lambda: write_adapter(mixed(), plain[0], "/proc/nowhere/adapter"),
    ):
        with pytest.raises(StorageError, match="not written") as caught, small_files():
            write()
        assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    same_parts(mixed(), read_adapter(kept, plain[0]))


def edit(folder, name="adapter_config.json", **fields):
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def retensor(folder, change, name="adapter_model.safetensors"):
    tensors = load_file(folder / name)
    change(tensors)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name)


def rename(old, new):
    return lambda t: t.update({key.replace(old, new): t.pop(key) for key in list(t)})


def first(change):
    def changed(tensors):
        key = min(tensors)
        tensors[key] = change(tensors[key])

    return changed


def cut(folder):
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def pickled(folder):
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(b"cos\nsystem\n")


def magnitudes(tensors):
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"] = randn(64)


DAMAGE = {
    "names": (lambda f: retensor(f, rename("q_proj", "query")), "4 of 8 tensors match nothing"),
    "layers": (lambda f: retensor(f, rename("layers.1", "layers.7")), "4 of 8 .*layers.7"),
    "shapes": (lambda f: retensor(f, first(lambda t: t[:, :-1])), "where it takes"),
    "rank": (lambda f: edit(f, r=3), "rank 4 in the tensors, 3 in"),
    "experts": (lambda f: edit(f, target_parameters=None), "in target_parameters"),
    "no number": (lambda f: retensor(f, first(lambda t: t / 0)), "no finite number"),
    "integers": (lambda f: retensor(f, first(lambda t: t.int())), "no finite number"),
    "dora by its tensors": (lambda f: retensor(f, magnitudes), "lora_magnitude_vector"),
    "dora": (lambda f: edit(f, use_dora=True), "DoRA"),
    "biases": (lambda f: edit(f, bias="all"), "trained biases"),
    "qlora": (lambda f: edit(f, loftq_config={"bits": 4}), "MXFP4"),
    "pissa": (lambda f: edit(f, init_lora_weights="pissa_niter_4"), "base weights"),
    "ia3": (lambda f: edit(f, peft_type="IA3"), "IA3 cannot be attached"),
    "class": (
        lambda f: edit(f, auto_mapping={"base_model_class": "LlamaForCausalLM"}),
        "made for LlamaForCausalLM",
    ),
    "pattern": (lambda f: edit(f, rank_pattern={"(a+)+$": 4}), "too involved"),
    "broken pattern": (lambda f: edit(f, rank_pattern={"[": 4}), "pattern"),
    "types": (lambda f: edit(f, target_parameters=7), "damaged"),
    "alpha": (lambda f: edit(f, lora_alpha="much"), "no number"),
    "head": (
        lambda f: retensor(
            f, lambda t: t.update({"base_model.model.lm_head.weight": randn(264, 64)})
        ),
        "lm_head.weight",
    ),
    "bin": (pickled, "pickle"),
    "cut off": (cut, "download it again"),
    "no weights": (lambda f: (f / "adapter_model.safetensors").unlink(), "no adapter_model"),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), "no adapter_config"),
    "no json": (lambda f: (f / "adapter_config.json").write_text("{"), "damaged JSON"),
    "a list": (lambda f: (f / "adapter_config.json").write_text("[]"), "no JSON object"),
    "nothing": (shutil.rmtree, "no such directory"),
}


@pytest.fixture(scope="module")
def made(plain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "a"
    made_by_peft(
        plain[1],
        folder,
        lora(target_modules=["q_proj"], target_parameters=["mlp.experts.down_proj"]),
    )
    return folder


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_cannot_be_attached_is_refused_in_one_line(shelf, made, tmp_path, kind):
    damage, says = DAMAGE[kind]
    folder = shutil.copytree(made, tmp_path / "adapter")
    damage(folder)
    before = logits(shelf)
    with pytest.raises(CheckpointError, match=says) as caught:
        shelf.attach(folder)
    assert "\n" not in str(caught.value)
    assert shelf.names == ()
    assert attached_to(shelf.model) == []
    assert torch.equal(logits(shelf), before)


def test_a_copied_head_that_is_the_models_is_no_stray(plain, shelf, made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "adapter")
    head = plain[1].lm_head.weight.detach()
    key = "base_model.model.lm_head.base_layer.weight"
    retensor(folder, lambda t: t.update({key: head.clone()}))
    assert len(read_adapter(folder, shelf.model).parts) == 4


def test_our_files_are_checked_too(plain, shelf, tmp_path):
    parts = (expert_lora((1, 2)), RouterDelta("model.layers.1.mlp.router", randn(8, 64), randn(8)))
    path = write_adapter(Adapter("x", parts), plain[0], tmp_path / "x")
    key = f"{EXPERTS.format(1)}.gate_up_proj"
    for experts, says in (([1], "mixed files"), ([2, 1], "experts"), ([9], "0 to 7")):
        edit(path, "gptoss_magic.json", experts={key: experts})
        with pytest.raises(CheckpointError, match=says):
            shelf.attach(path)
    edit(path, "gptoss_magic.json", format=2)
    with pytest.raises(CheckpointError, match="another format"):
        shelf.attach(path)
    (path / "gptoss_magic.json").unlink()
    retensor(path, rename("router.weight", "router.wait"), "gptoss_magic.safetensors")
    again = read_adapter(path, plain[0])
    assert [len(p.experts) for p in again.parts if hasattr(p, "experts")] == [8]
    for mine, theirs in zip(parts[1].parameters(), again.parts[0].parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_generate_and_map_follow_the_default(tmp_path):
    import pandas as pd

    current().unload()
    gptoss_magic.load(str(tiny_checkpoint(tmp_path / "tiny", seed=3)), context=1024)
    ask = {"date": "2026-01-01", "max_tokens": 12}
    try:
        shelf = current().shelf
        shelf.add(mixed("a"), 3.0)
        base = gptoss_magic.generate("Hello", **ask)
        tuned = gptoss_magic.generate("Hello", adapters=["a"], **ask)
        assert base.raw_tokens != tuned.raw_tokens
        assert base.provenance["adapters"] == []
        (record,) = tuned.provenance["adapters"]
        assert record == {"name": "a", "uid": mixed().uid, "scale": 3.0, "path": ""}
        shelf.use(["a"])
        assert gptoss_magic.generate("Hello", **ask).raw_tokens == tuned.raw_tokens
        assert gptoss_magic.generate("Hello", adapters=[], **ask).raw_tokens == base.raw_tokens
        assert "a* x 3" in status(current())["adapters"]
        frames = {}
        for names in (None, ["none"]):
            frames[str(names)] = frame = pd.DataFrame({"word": ["Hello", "World"]})
            mapped = gptoss_magic.map(
                frame, "{{ word }}", adapters=names, journal=tmp_path / "j", **ask
            )
            assert mapped.kept == 0
            assert len(mapped.provenance["adapters"]) == (names is None)
        assert attached_to(current().resident.model) == []
    finally:
        current().unload()
    assert current().held_adapters is None
