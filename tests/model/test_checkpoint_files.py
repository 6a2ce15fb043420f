"""Checkpoints whose config and bytes disagree: read as transformers reads them, or one line."""

import json

import pytest
import torch
from checkpoint_cases import (
    INDEX,
    SHARDS,
    WEIGHTS,
    add_tensors,
    by_transformers,
    change_config,
    change_header,
    change_tensors,
    logits,
    split,
)
from safetensors.torch import load_file, save_file

import gptoss_magic
from gptoss_magic import errors
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.session import Session, current
from gptoss_magic.testing import tiny_checkpoint

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
Q_PROJ = "model.layers.0.self_attn.q_proj.weight"
BOM = b"\xef\xbb\xbf"


def quiet(done, total, note):
    """A progress that shows nothing."""


@pytest.fixture
def tiny(tmp_path):
    return tiny_checkpoint(tmp_path / "tiny")


@pytest.fixture
def packed(tmp_path):
    return tiny_checkpoint(tmp_path / "packed", packed=True)


def loaded(path):
    return load(LoadSettings(str(path)), quiet)


def refused(path):
    """The one line that a load of `path` ends with; nothing was read and nothing is resident."""
    seen, session = [], Session()
    with pytest.raises(errors.CheckpointError) as caught:
        session.load(LoadSettings(str(path)), lambda done, total, note: seen.append(note))
    assert "reading weights" not in seen
    assert session.resident is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cast(**dtypes):
    """A change of tensors: by a part of their name, else `rest`."""
    rest = dtypes.pop("rest", None)

    def change(name, tensor):
        wanted = [dtype for part, dtype in dtypes.items() if part in name]
        return tensor.to((wanted or [rest or tensor.dtype])[0])

    return change


MIXED = {
    "router": (cast(router=torch.float32, rest=torch.bfloat16), "bfloat16"),
    "head": (cast(lm_head=torch.float32, rest=torch.bfloat16), "bfloat16"),
    "embedding": (cast(embed=torch.float64, rest=torch.bfloat16), "bfloat16"),
    "experts": (cast(experts=torch.float16, rest=torch.float32), "float32"),
    "one layer": (cast(layers_1=torch.float16), "float16"),
    "half with fp32 norms": (cast(norm=torch.float32, rest=torch.float16), "float16"),
    "all of them otherwise": (cast(rest=torch.bfloat16), "float32"),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_dtypes_are_cast_as_transformers_casts_them(tiny, name):
    change, dtype = MIXED[name]
    change_tensors(tiny, change)
    change_config(tiny, dtype=dtype)
    theirs, resident = by_transformers(tiny), loaded(tiny)
    ours, wanted = resident.model.state_dict(), theirs.state_dict()
    assert {name: t.dtype for name, t in ours.items()} == {n: t.dtype for n, t in wanted.items()}
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)
    assert resident.plan.weights == sum(t.numel() * t.element_size() for t in ours.values())
    assert logits(resident.model).isfinite().all()


def test_mixed_dtypes_without_a_word_in_the_config_become_the_commonest(tiny):
    change_tensors(tiny, cast(lm_head=torch.float32, rest=torch.bfloat16))
    change_config(tiny, drop=("dtype", "torch_dtype"))
    resident = loaded(tiny)
    assert {t.dtype for t in resident.model.parameters()} == {torch.bfloat16}
    assert resident.notes == (
        "1 of 37 tensors are in float32: read as bfloat16, as transformers does",
    )


@pytest.mark.parametrize("part", ["router", "lm_head", "norm", "sinks", "embed_tokens", "_bias"])
def test_packed_experts_with_a_part_in_fp32_answer(packed, part):
    change_tensors(packed, cast(**{part: torch.float32}))
    gptoss_magic.load(str(packed), replace=True)
    assert gptoss_magic.generate("hi", max_tokens=3, new=True).usage.completion_tokens == 3
    kinds = {t.dtype for t in current().require().model.state_dict().values()}
    assert kinds == {torch.bfloat16, torch.uint8}
    gptoss_magic.unload()


FOREIGN = {
    "fp8": cast(rest=torch.float8_e4m3fn),
    "fp8 in a part": cast(q_proj=torch.float8_e5m2),
    "int8": cast(experts=torch.int8),
    "bool": cast(sinks=torch.bool),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_dtypes_that_nothing_here_runs_are_refused_at_load(tiny, name):
    change_tensors(tiny, FOREIGN[name])
    assert "can be run; give openai/gpt-oss-20b or a bf16" in refused(tiny)


def test_blocks_of_another_format_are_refused_at_load(packed):
    change_tensors(packed, cast(_scales=torch.int8))
    assert "_scales is in I8 where U8" in refused(packed)


@pytest.mark.parametrize("method", ["fp8", "bitsandbytes", "gptq", "awq", "compressed-tensors", 4])
def test_other_quantisations_are_refused_by_name(tiny, method):
    change_config(tiny, quantization_config={"quant_method": method})
    assert f"quantised by {method!r}" in refused(tiny)


@pytest.mark.parametrize("value", ["mxfp4", ["mxfp4"], 1])
def test_a_quantisation_that_is_no_object_is_one_line(tiny, value):
    change_config(tiny, quantization_config=value)
    assert f"quantization_config is {value!r}, not an object" in refused(tiny)


def test_unpacked_experts_whose_config_kept_mxfp4_are_read_as_they_are(tiny):
    want = logits(loaded(tiny).model)
    change_config(tiny, quantization_config={"quant_method": "mxfp4"})
    resident = loaded(tiny)
    assert torch.equal(logits(resident.model), want)
    assert "not packed" in resident.notes[0]


def test_packed_experts_whose_config_lost_mxfp4_are_read_as_packed(packed):
    want = logits(loaded(packed).model)
    change_config(packed, drop=("quantization_config",))
    resident = loaded(packed)
    assert torch.equal(logits(resident.model), want)
    assert "the experts are in MXFP4" in resident.notes[0]


def test_a_head_that_only_the_config_ties_stays_its_own(tiny):
    change_config(tiny, tie_word_embeddings=True)
    resident = loaded(tiny)
    torch.testing.assert_close(logits(resident.model), logits(by_transformers(tiny)))
    assert resident.model.config.tie_word_embeddings is False
    assert "the file has another one: not tied" in resident.notes[0]


def test_a_head_of_another_shape_than_the_tied_embeddings_is_one_line(tiny):
    change_config(tiny, tie_word_embeddings=True)
    change_tensors(tiny, lambda name, t: t[:-8].clone() if name == HEAD else t)
    assert f"{HEAD} is [256, 64] in the file and [264, 64] by config.json" in refused(tiny)


@pytest.mark.parametrize("kept", [(HEAD,), (EMBEDDING,), (HEAD, EMBEDDING)])
def test_a_tied_head_may_be_in_the_file_once_or_twice(tmp_path, kept):
    path = tiny_checkpoint(tmp_path, tie_word_embeddings=True)
    table = load_file(path / WEIGHTS)[EMBEDDING]
    change_tensors(path, lambda name, t: None if name == EMBEDDING else t)
    add_tensors(path, **{name: table.clone() for name in kept})
    resident = loaded(path)
    model = resident.model
    assert model.lm_head.weight is model.model.embed_tokens.weight
    torch.testing.assert_close(logits(model), logits(by_transformers(path)))
    assert resident.notes == ()
    assert resident.plan.weights == sum(p.numel() * p.element_size() for p in model.parameters())


def test_a_head_that_is_missing_and_not_tied_is_one_line(tiny):
    change_tensors(tiny, lambda name, t: None if name == HEAD else t)
    assert f"missing: {HEAD}" in refused(tiny)


LEFT_OUT = [
    {},
    {"layer_types": None},
    {"max_position_embeddings": 131072},
    {"head_dim": 64},
    {"num_experts_per_tok": 4},
    {"rms_norm_eps": 1e-5},
    {"sliding_window": 128},
    {"num_key_value_heads": 8},
    {"rope_parameters": None},
]


@pytest.mark.parametrize("settings", LEFT_OUT, ids=str)
def test_what_config_json_leaves_out_has_transformers_default(tmp_path, settings):
    path = tiny_checkpoint(tmp_path / "tiny", **({"num_attention_heads": 8} | settings))
    change_config(path, drop=("architectures", "initializer_range", *settings))
    torch.testing.assert_close(logits(loaded(path).model), logits(by_transformers(path)))


@pytest.mark.parametrize("key", ["vocab_size", "hidden_size", "num_local_experts", "head_dim"])
def test_a_default_that_does_not_fit_the_bytes_is_one_line(tiny, key):
    change_config(tiny, drop=(key,))
    assert "by config.json; give the config.json that belongs to it" in refused(tiny)


ODD = {
    "hidden_size": ["64", 64.0, None, True, [64], -64, 0],
    "num_hidden_layers": ["2", None, 0, -1],
    "num_experts_per_tok": [0, 9, "2"],
    "num_key_value_heads": [3, 0, "2"],
    "max_position_embeddings": [None, 0, "2048"],
    "rms_norm_eps": ["1e-5", None],
    "sliding_window": ["128", 0, -1, None],
    "layer_types": [["full_attention"], ["x", "y"], "full_attention", ["chunked_attention"] * 2],
    "tie_word_embeddings": ["true", 1],
    "eos_token_id": ["5", 1.5],
    "pad_token_id": [999, "0"],
    "dtype": ["bf16", "float8_e4m3fn", 3, "auto"],
    "rope_parameters": ["yarn", {"rope_type": "yarn"}, {"rope_type": "x", "rope_theta": 1.0}],
    "rope_scaling": [{"rope_type": "default", "rope_theta": "150000"}, 3],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in ODD.items() for v in values])
def test_odd_values_in_config_json_are_one_line(tiny, key, value):
    change_config(tiny, **{key: value})
    assert str(tiny) in refused(tiny)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_one_line(tiny, value):
    text = (tiny / "config.json").read_text()
    (tiny / "config.json").write_text(text.replace('"rms_norm_eps": 1e-05', f'"x": {value}'))
    assert f"{value} is no number" in refused(tiny)


@pytest.mark.parametrize("text", ["{", "[]", "null", "3", '{"a": 1,}', ""])
def test_a_config_that_is_no_object_is_one_line(tiny, text):
    (tiny / "config.json").write_text(text)
    assert str(tiny / "config.json") in refused(tiny)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["config.json", INDEX, "generation_config.json"])
def test_json_files_may_begin_with_a_bom(tiny, name, encoding):
    want = logits(loaded(tiny).model)
    split(tiny)
    (tiny / name).write_bytes((tiny / name).read_text().encode(encoding))
    resident = loaded(tiny)
    assert torch.equal(logits(resident.model), want)
    assert resident.notes == ()


def test_a_generation_config_with_a_bom_is_followed(tiny):
    (tiny / "generation_config.json").write_bytes(BOM + b'{"do_sample": true}')
    assert loaded(tiny).greedy is False


@pytest.mark.parametrize("text", ['{"do_sample": true,}', "", "[]", "{", '{"temperature": NaN}'])
def test_a_damaged_generation_config_is_ignored_with_a_note(tiny, text):
    (tiny / "generation_config.json").write_text(text)
    resident = loaded(tiny)
    assert resident.greedy is True
    assert resident.notes == (
        "generation_config.json is damaged and ignored: greedy, as without it",
    )


@pytest.mark.parametrize("value", ["false", 1, None, [True]])
def test_do_sample_of_another_kind_is_ignored_with_a_note(tiny, value):
    (tiny / "generation_config.json").write_text(json.dumps({"do_sample": value}))
    resident = loaded(tiny)
    assert resident.greedy is True
    assert f"do_sample is {value!r} and ignored" in resident.notes[0]


def test_notes_are_told_by_load(tiny):
    (tiny / "generation_config.json").write_text("{")
    line = gptoss_magic.load(str(tiny), replace=True)
    assert line.endswith(
        "; note: generation_config.json is damaged and ignored: greedy, as without it"
    )
    gptoss_magic.unload()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", WEIGHTS])
def test_what_is_refused_leaves_the_resident_model_where_it_is(tiny, tmp_path, name):
    session, other = Session(), tiny_checkpoint(tmp_path / "other", seed=1)
    session.load(LoadSettings(str(tiny)))
    before = session.resident
    (other / name).write_text("{")
    with pytest.raises(errors.CheckpointError):
        session.load(LoadSettings(str(other)), replace=True)
    assert session.resident is before


def overlap(header):
    header[Q_PROJ]["data_offsets"] = header[HEAD]["data_offsets"]


def hole(header):
    del header[Q_PROJ]


def longer(header):
    first, end = header[Q_PROJ]["data_offsets"]
    header[Q_PROJ]["data_offsets"] = [first, end - 4]


def short_shape(header):
    header[Q_PROJ]["shape"] = [64]


def text_shape(header):
    header[Q_PROJ]["shape"] = ["64", "64"]


def negative(header):
    header[Q_PROJ]["shape"] = [-64, -64]


def true_shape(header):
    header[Q_PROJ]["shape"] = [True, 64, 64]


def no_offsets(header):
    del header[Q_PROJ]["data_offsets"]


def unknown_dtype(header):
    header[Q_PROJ]["dtype"] = "F31"


def no_dtype(header):
    header[Q_PROJ]["dtype"] = None


def odd_metadata(header):
    header["__metadata__"] = {"format": 1}


def list_metadata(header):
    header["__metadata__"] = ["pt"]


HEADERS = (
    odd_metadata,
    list_metadata,
    overlap,
    hole,
    longer,
    short_shape,
    text_shape,
    negative,
    true_shape,
    no_offsets,
)


@pytest.mark.parametrize("change", [*HEADERS, unknown_dtype, no_dtype])
def test_a_header_whose_tensors_do_not_lie_in_a_row_is_one_line(tiny, change):
    change_header(tiny, change)
    assert str(tiny / WEIGHTS) in refused(tiny)


@pytest.mark.parametrize("raw", [b"", b"\0" * 7, b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]"])
def test_a_file_that_is_no_safetensors_is_one_line(tiny, raw):
    (tiny / WEIGHTS).write_bytes(raw)
    assert str(tiny / WEIGHTS) in refused(tiny)


def test_a_git_lfs_pointer_is_called_so(tiny):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n"
    (tiny / WEIGHTS).write_text(pointer)
    assert "git lfs pull" in refused(tiny)


@pytest.mark.parametrize(
    ("key", "value"), [("vocab_size", 200), ("intermediate_size", 32), ("num_local_experts", 4)]
)
def test_shapes_are_held_against_the_config(tiny, key, value):
    change_config(tiny, **{key: value})
    assert "in the file and" in refused(tiny)


@pytest.mark.parametrize(("layers", "kind"), [(3, "missing"), (1, "unknown")])
def test_layers_are_held_against_the_config(tiny, layers, kind):
    change_config(tiny, num_hidden_layers=layers, layer_types=["full_attention"] * layers)
    assert f"tensors {kind}: model.layers.{min(layers, 2)}." in refused(tiny)


def test_tensors_under_other_names_are_told_with_both_names(tiny):
    state = load_file(tiny / WEIGHTS)
    save_file({f"module.{name}": tensor for name, tensor in state.items()}, tiny / WEIGHTS)
    line = refused(tiny)
    assert "missing: lm_head.weight" in line
    assert "unknown: module.lm_head.weight" in line


def test_rotary_tables_of_older_checkpoints_are_computed_anew(tiny):
    want = logits(loaded(tiny).model)
    add_tensors(tiny, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)})
    assert torch.equal(logits(loaded(tiny).model), want)


def test_a_single_file_counts_before_an_index_as_in_transformers(tiny):
    want = logits(loaded(tiny).model)
    (tiny / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": None}))
    assert torch.equal(logits(loaded(tiny).model), want)


@pytest.mark.parametrize("places", [None, {}, [], "x", {HEAD: None}, {HEAD: "../other"}, {HEAD: 3}])
def test_an_index_without_a_map_is_one_line(tiny, places):
    split(tiny)
    (tiny / INDEX).write_text(json.dumps({"weight_map": places}))
    assert str(tiny / INDEX) in refused(tiny)


def test_a_stale_index_names_what_is_there(tiny):
    places = split(tiny)
    stale = dict.fromkeys(places, "model-00003-of-00009.safetensors")
    (tiny / INDEX).write_text(json.dumps({"weight_map": stale}))
    line = refused(tiny)
    assert "model-00003-of-00009.safetensors: missing" in line
    assert f"here are {SHARDS[0]}, {SHARDS[1]}" in line


def test_shards_without_an_index_ask_for_it(tiny):
    split(tiny, index=False)
    assert f"or the {INDEX} that belongs to them" in refused(tiny)


def test_a_tensor_in_two_shards_is_the_one_that_the_index_names(tiny):
    want = logits(loaded(tiny).model)
    places = split(tiny)
    for file in SHARDS:
        if places[Q_PROJ] != file:
            wrong = {Q_PROJ: torch.zeros(64, 64)}
            save_file(load_file(tiny / file) | wrong, tiny / file)
    assert torch.equal(logits(loaded(tiny).model), want)


@pytest.mark.parametrize(
    ("name", "said"), [("model-Q4_K_M.gguf", "GGUF"), ("pytorch_model.bin", "pickles")]
)
def test_weights_in_another_format_are_called_by_it(tiny, name, said):
    (tiny / WEIGHTS).rename(tiny / name)
    assert said in refused(tiny)


def test_a_file_in_the_directorys_place_is_one_line(tiny):
    assert "give the checkpoint's directory" in refused(tiny / WEIGHTS)


def test_an_adapter_in_a_models_place_is_called_so(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "an adapter, not a model" in refused(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1,}'])
def test_a_damaged_tokenizer_is_one_line_before_the_weights(tiny, name, text):
    (tiny / name).write_text(text)
    assert str(tiny / name) in refused(tiny)


def test_a_tokenizer_that_is_none_is_one_line_before_the_weights(tiny):
    (tiny / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "x"}}')
    assert "its tokenizer cannot be read" in refused(tiny)


def test_more_tokens_than_embeddings_are_one_line(tmp_path):
    path = tiny_checkpoint(tmp_path, vocab_size=200)
    assert "ids up to 263, but the embeddings end at 199" in refused(path)


def test_a_cached_model_that_cannot_be_read_says_why_offline(tiny, tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "models--owner--tiny"
    snapshot = folder / "snapshots" / ("c" * 40)
    snapshot.parent.mkdir(parents=True)
    tiny.rename(snapshot)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("c" * 40)
    change_config(snapshot, model_type="llama")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(errors.CheckpointError, match="holds 'llama'"):
        load(LoadSettings("owner/tiny", offline=True), quiet)
