"""What config.json asks for, held against what the headers say, before a weight is read.

The bytes decide what the weights are; the config decides what they mean. What transformers would
mend (a head that is tied by the config alone, parts in another dtype, a key that is left out) is
mended as there and noted; all else is one line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError
from gptoss_magic.model.config import FLOATS, gpt_oss_config, header_dtype, reason, wrong

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.checkpoint import Checkpoint
    from gptoss_magic.model.headers import Tensor

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
MXFP4_ENDS = ("_blocks", "_scales")
RECOMPUTED = ".rotary_emb.inv_freq"
SHOWN = 3


@dataclass(frozen=True)
class Architecture:
    """A checkpoint that agrees with its config.

    `config`: transformers' GptOssConfig, defaults filled in. `names`: of the file's tensors those
    that are read, with the model's names. `resident`: the checkpoint with the filled config and
    with its tensors as they will be in memory. `notes`: what differs from what config.json says.
    """

    config: Any
    names: dict[str, str]
    resident: Checkpoint
    notes: tuple[str, ...]

    def dtype_of(self, name: str) -> str:
        """Torch's name of the dtype that the model's tensor `name` is kept in."""
        dtype = self.resident.tensors[name].dtype
        return FLOATS.get(dtype, "uint8")


def architecture(checkpoint: Checkpoint) -> Architecture:
    """Check `checkpoint` from its config and headers alone.

    Raises CheckpointError for values of config.json that cannot be, another quantisation, dtypes
    that this package does not run, tensors that miss, are unknown, or have another shape.
    """
    config, notes = gpt_oss_config(checkpoint)
    _check_dtypes(checkpoint)
    names = _names(checkpoint, config, notes)
    wanted = _shapes(checkpoint, config)
    _check_names(checkpoint, names, wanted, tied=config.tie_word_embeddings)
    tensors = {name: checkpoint.tensors[key] for key, name in names.items()}
    _check_shapes(checkpoint, tensors, wanted)
    resident = replace(checkpoint, config=config.to_dict(), tensors=_cast(tensors, config, notes))
    return Architecture(config, names, resident, tuple(notes))


def _check_dtypes(checkpoint: Checkpoint) -> None:
    for key, tensor in checkpoint.tensors.items():
        is_mxfp4 = checkpoint.is_packed and key.endswith(MXFP4_ENDS)
        if tensor.dtype not in (("U8",) if is_mxfp4 else FLOATS) and not key.endswith(RECOMPUTED):
            wanted = "U8, as in MXFP4" if is_mxfp4 else ", ".join(FLOATS)
            raise CheckpointError(
                f"{checkpoint.place}: {key} is in {tensor.dtype} where {wanted} can be run; give "
                "openai/gpt-oss-20b or a bf16 checkpoint"
            )


def _names(checkpoint: Checkpoint, config: Any, notes: list[str]) -> dict[str, str]:
    """The model's name of each tensor that is read; a tied head is read once or not tied at all."""
    names = {key: key for key in checkpoint.tensors if not key.endswith(RECOMPUTED)}
    if not config.tie_word_embeddings or HEAD not in names:
        return names
    if EMBEDDING not in names:
        names[HEAD] = EMBEDDING
    elif _are_equal(checkpoint, HEAD, EMBEDDING):
        del names[HEAD]
    else:
        config.tie_word_embeddings = False
        notes.append(
            f"config.json ties {HEAD} to the embeddings, but the file has another one: not tied"
        )
    return names


def _are_equal(checkpoint: Checkpoint, first: str, second: str) -> bool:
    """True where two tensors are the same numbers; on the hub that is not known yet."""
    import torch
    from safetensors import safe_open

    a, b = (checkpoint.tensors[key] for key in (first, second))
    if checkpoint.path is None or a.shape != b.shape:
        return False
    values = []
    for key, tensor in ((first, a), (second, b)):
        with safe_open(checkpoint.path / tensor.file, framework="pt") as stream:
            values.append(stream.get_tensor(key))
    return torch.equal(*values)


def _shapes(checkpoint: Checkpoint, config: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model that `config` means; nothing is allocated."""
    try:
        model = empty_model(config, is_packed=checkpoint.is_packed)
    except Exception as error:
        raise wrong(checkpoint, reason(error)) from error
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def empty_model(config: Any, *, is_packed: bool) -> Any:
    """A GptOssForCausalLM without memory, its experts packed or not."""
    import torch
    from transformers import GptOssForCausalLM

    from gptoss_magic.model.experts import use_packed_experts

    with torch.device("meta"):
        model = GptOssForCausalLM(config)
    if is_packed:
        use_packed_experts(model, config)
    return model


def _check_names(
    checkpoint: Checkpoint, names: dict[str, str], wanted: dict[str, Any], *, tied: bool
) -> None:
    there = set(names.values()) | ({HEAD} if tied else set())
    missing = sorted(set(wanted) - there)
    unknown = sorted(key for key, name in names.items() if name not in wanted)
    if not missing and not unknown:
        return
    said = [f"{kind}: {_few(keys)}" for kind, keys in (("missing", missing), ("unknown", unknown))]
    raise CheckpointError(
        f"{checkpoint.place}: tensors {'; '.join(s for s in said if not s.endswith(': '))} "
        f"(config.json asks for {len(wanted)}); download it again, or give the config.json that "
        "belongs to it"
    )


def _few(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def _check_shapes(
    checkpoint: Checkpoint, tensors: dict[str, Tensor], wanted: dict[str, tuple[int, ...]]
) -> None:
    for name, shape in wanted.items():
        if name in tensors and tensors[name].shape != shape:
            raise CheckpointError(
                f"{checkpoint.place}: {name} is {list(tensors[name].shape)} in the file and "
                f"{list(shape)} by config.json; give the config.json that belongs to it"
            )


def _cast(tensors: dict[str, Tensor], config: Any, notes: list[str]) -> dict[str, Tensor]:
    """The tensors in the dtype that transformers keeps them in: the config's, else the file's."""
    import torch

    floats = Counter(dict.fromkeys(FLOATS, 0))
    for tensor in tensors.values():
        if tensor.dtype in FLOATS:
            floats[tensor.dtype] += tensor.num_bytes
    usual = floats.most_common(1)[0][0]
    target = header_dtype(config) or usual
    config.dtype = getattr(torch, FLOATS[target])
    cast = {name: _in(name, tensor, target) for name, tensor in tensors.items()}
    changed = [name for name in tensors if cast[name].dtype != tensors[name].dtype]
    if changed:
        kinds = ", ".join(sorted({FLOATS[tensors[name].dtype] for name in changed}))
        notes.append(
            f"{len(changed)} of {len(tensors)} tensors are in {kinds}: read as "
            f"{FLOATS[target]}, as transformers does"
        )
    return cast


def _in(name: str, tensor: Tensor, target: str) -> Tensor:
    if tensor.dtype not in FLOATS:
        return tensor
    keeps_norms = target == "F16" and "norm" in name  # transformers' _keep_in_fp32_modules
    return replace(tensor, dtype="F32" if keeps_norms else target)


def _filled(config: Any) -> dict[str, Any]:
    """config.json with transformers' defaults for what it leaves out."""
    values: dict[str, Any] = config.to_dict()
    return values
