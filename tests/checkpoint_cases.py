"""Tiny checkpoints as people upload them again, and what transformers makes of them."""

import json

import torch
from safetensors.torch import load_file, save_file
from transformers import GptOssForCausalLM

IDS = torch.randint(8, 264, (1, 40), generator=torch.Generator().manual_seed(2))
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def change_config(path, drop=(), **values):
    config = json.loads((path / "config.json").read_text()) | values
    kept = {key: value for key, value in config.items() if key not in drop}
    (path / "config.json").write_text(json.dumps(kept))


def change_tensors(path, change):
    """`change(name, tensor)` gives the tensor to write, or None to leave it out."""
    state = load_file(path / WEIGHTS)
    changed = {name: change(name, tensor) for name, tensor in state.items()}
    save_file({name: t for name, t in changed.items() if t is not None}, path / WEIGHTS)


def add_tensors(path, **tensors):
    save_file(load_file(path / WEIGHTS) | tensors, path / WEIGHTS)


def split(path, index=True):
    """Two shards in place of the single file; `index`: with their index."""
    state = load_file(path / WEIGHTS)
    (path / WEIGHTS).unlink()
    names = sorted(state)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    for file, half in zip(SHARDS, halves, strict=True):
        save_file({name: state[name] for name in half}, path / file)
    places = {n: file for file, half in zip(SHARDS, halves, strict=True) for n in half}
    if index:
        (path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


def change_header(path, change):
    """`change(header)` alters the header's entries in place; the tensors' bytes stay."""
    file = path / WEIGHTS
    raw = file.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    change(header)
    fresh = json.dumps(header).encode()
    file.write_bytes(len(fresh).to_bytes(8, "little") + fresh + raw[8 + length :])


def by_transformers(path):
    """transformers' own model of a directory."""
    return GptOssForCausalLM.from_pretrained(
        path, dtype="auto", attn_implementation="eager", local_files_only=True
    ).eval()


def logits(model):
    with torch.no_grad():
        return model(IDS).logits.float()
