"""Is the GPU backend right and how fast is it? Random models of true shapes (make gpu-check).

No weights, no network. One JSON line per check, speed or skipped step; the exit status is 1 where
a check fails. Written without a GPU at hand: with --device cpu the same steps run on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_speeds import (
    Check,
    Sizes,
    Skipped,
    at_most,
    loaded,
    our_speeds,
    peer_speeds,
    release,
    tokens_of,
    with_adapter,
)
from benchmarks.make_checkpoint import SHAPES, make

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK_LAYERS = 4
OUTER_BYTES = 2 * 201_088 * 2880 * 2  # embedding and head
ATTENTION_BYTES = 2 * 2880 * (2 * 4096 + 2 * 512)
EXPERT_BYTES = 3 * 2880 * 90 * 17  # of one layer


def product_checks(path: Path, device: str) -> Iterator[Check]:
    """The backend's products of layer 0 against plain torch in fp32 on the same device."""
    import torch

    from gptoss_magic.model.backends import PLAIN, backend_for

    experts = loaded(path, device).model.model.layers[0].mlp.experts
    for name in ("gate_up_proj", "down_proj"):
        w, bias = experts.packed(name)
        num_experts, n, k = w.shape
        for rows in (4, 8 * num_experts, 64 * num_experts):
            offsets = torch.arange(num_experts + 1, device=device) * rows // num_experts
            offsets, draw = offsets.int(), torch.Generator().manual_seed(rows)
            x = torch.randn(rows, k, generator=draw).to(device, torch.bfloat16)
            dy = torch.randn(rows, n, generator=draw).to(device, torch.bfloat16)
            backend = backend_for(x, w)
            for step, ours, want in (
                (
                    "linear",
                    backend.linear(x, offsets, w, bias),
                    PLAIN.linear(x.float(), offsets, w, bias),
                ),
                (
                    "transposed",
                    backend.transposed(dy, offsets, w),
                    PLAIN.transposed(dy.float(), offsets, w),
                ),
            ):
                error = float((ours.float() - want).abs().max() / want.abs().max())
                what = f"{backend.name}: {step} of {name}, {rows} rows, against plain torch in fp32"
                yield at_most(f"{step}_error", error, 0.01, what)


def observed(path: Path, device: str, tokens: int, *, fp32: bool = False) -> tuple[Any, Any]:
    """(logits [T, V], the adapter's gradients as one vector), fp32 on the CPU."""
    import torch

    resident = loaded(path, device)
    model, ids = (
        with_adapter(resident.model.float() if fp32 else resident.model),
        tokens_of(tokens, device),
    )
    out = model(ids, labels=ids)
    out.loss.backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    gradient = torch.cat([p.grad.flatten().float().cpu() for p in trained])
    return out.logits[0].detach().float().cpu(), gradient


def model_checks(path: Path, device: str, tokens: int) -> Iterator[Check]:
    """Logits and gradients on the device: no further from plain fp32 than the CPU's bf16 is."""
    exact = observed(path, "cpu", tokens, fp32=True)
    known = observed(path, "cpu", tokens)
    ours = observed(path, device, tokens)
    release()
    for place, name in enumerate(("logits", "gradients")):
        want = exact[place]

        def off(found: Any, want: Any = want) -> float:
            return float(((found - want).norm(dim=-1) / want.norm(dim=-1)).median())

        limit = max(0.03, 1.5 * off(known[place]))
        what = f"median relative error on {device} against plain torch in fp32; the CPU's bf16 has"
        yield at_most(f"{name}_error", off(ours[place]), limit, f"{what} {off(known[place]):.4f}")


def layers_that_fit(like: str, device: str, folder: Path) -> int:
    """Layers that four fifths of the free memory and of the free disk hold; 0: not one."""
    from gptoss_magic.model.plan import free_bytes

    all_layers, experts = SHAPES[like]
    free = min(free_bytes(device), shutil.disk_usage(folder).free) * 4 // 5 - OUTER_BYTES
    return max(0, min(all_layers, free // (ATTENTION_BYTES + experts * EXPERT_BYTES)))


def checkpoint(like: str, layers: int, folder: Path) -> Path:
    """A random checkpoint of `layers` layers below `folder`."""
    from gptoss_magic.testing import tiny_checkpoint

    path = folder / f"{like}-{layers}-layers"
    if like == "tiny":
        return tiny_checkpoint(path, packed=True, num_hidden_layers=layers)
    return make(like, layers, path, full_vocabulary=True)


def of_shape(like: str, device: str, layers: int, sizes: Sizes) -> Iterator[Any]:
    """All checks and speeds of one shape; the checkpoints are gone afterwards."""
    with TemporaryDirectory() as folder:
        fit = layers or layers_that_fit(like, device, Path(folder))
        if fit == 0:
            yield Skipped(like, "not one layer fits into the free memory or the free disk")
            return
        small = checkpoint(like, min(fit, CHECK_LAYERS), Path(folder))
        yield from product_checks(small, device)
        yield from model_checks(small, device, sizes.check)
        whole = checkpoint(like, fit, Path(folder))
        yield from our_speeds(whole, device, sizes)
        release()
        yield from peer_speeds(whole, device, sizes)
        release()


def options() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu_check")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=["20b", "120b"])
    parser.add_argument("--layers", type=int, default=0, help="0: as many as fit")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape: do the steps work?")
    return parser.parse_args()


def main() -> int:
    """Print the lines; 0: all checks passed, 1: one failed, 2: there is no such GPU."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch

    given = options()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("gpu-check needs a CUDA GPU, and torch sees none here", file=sys.stderr)
        return 2
    sizes = Sizes(16, 64, 4, 32) if given.tiny else Sizes()
    failed = 0
    for like in ["tiny"] if given.tiny else given.shapes:
        for line in of_shape(like, given.device, given.layers, sizes):
            print(json.dumps({"shape": like, **asdict(line)}, ensure_ascii=False), flush=True)
            failed += isinstance(line, Check) and not line.ok
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
