"""The ranks' process group, as a rank sees it: sums, and what each says to all.

Who is where comes from a file, gloo speaks over the loopback interface, and nothing listens to
another machine. Under a scheduler, whose launcher sets MASTER_ADDR, ranks meet where that says.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BUCKET = 1 << 24  # numbers that are summed in one call
PATIENCE = timedelta(minutes=60)  # a lost rank closes its connection; this is for a slow one


@dataclass(frozen=True)
class RankPlace:
    """Which rank this process is, of how many; `local` among those `on_machine`."""

    rank: int
    size: int
    local: int
    on_machine: int = 0


def my_place() -> RankPlace:
    """As torch's launcher says it to each process."""
    rank, size, local = (int(os.environ[n]) for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    return RankPlace(rank, size, local, int(os.environ.get("LOCAL_WORLD_SIZE", size)))


@contextmanager
def joined(place: RankPlace, device: Any, store: Path | None) -> Iterator[RankGroup]:
    """The group with this process in it; `store`: the file by which the ranks find each other."""
    import torch.distributed as dist

    if dist.is_initialized():  # by who started this process
        yield RankGroup(place, device, dist.new_group(backend="gloo"))
        return
    kind = "nccl" if device.type == "cuda" else "gloo"
    met: dict[str, Any] = {}
    if store is not None:
        c10d: Any = dist  # whose hints do not name its stores
        met = {"store": c10d.FileStore(str(store), place.size)}
        met |= {"rank": place.rank, "world_size": place.size}
    dist.init_process_group(kind, timeout=PATIENCE, **met)
    beside = dist.new_group(backend="gloo") if kind != "gloo" else None
    try:
        yield RankGroup(place, device, beside)
    finally:
        dist.destroy_process_group()


class RankGroup:
    """`beside`: a group for numbers of the processor, where the main one is a GPU's."""

    def __init__(self, place: RankPlace, device: Any, beside: Any = None) -> None:
        self.place, self.device, self._beside = place, device, beside

    def summed(self, value: float) -> float:
        """The sum over the ranks, in fp64."""
        return self.all_summed([value])[0]

    def all_summed(self, values: Sequence[float]) -> list[float]:
        """Each number's sum over the ranks, in fp64."""
        return self._reduced(values, "SUM")

    def largest(self, values: Sequence[float]) -> list[float]:
        """Each number's largest value over the ranks."""
        return self._reduced(values, "MAX")

    def _reduced(self, values: Sequence[float], how: str) -> list[float]:
        import torch
        import torch.distributed as dist

        numbers = torch.tensor(list(values), dtype=torch.float64)
        dist.all_reduce(numbers, getattr(dist.ReduceOp, how), group=self._beside)
        return numbers.tolist()

    def each(self, values: Sequence[float]) -> list[list[float]]:
        """What every rank says, in the ranks' order."""
        import torch
        import torch.distributed as dist

        mine = torch.tensor(list(values), dtype=torch.float64)
        found = [torch.empty_like(mine) for _ in range(self.place.size)]
        dist.all_gather(found, mine, group=self._beside)
        return [one.tolist() for one in found]

    def sum_tensors(self, tensors: Sequence[Any]) -> None:
        """Sum each over the ranks, in place; a bucket of them in one call."""
        import torch
        import torch.distributed as dist

        for bucket in buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat)
            pieces = flat.split([tensor.numel() for tensor in bucket])  # type: ignore[no-untyped-call]
            for tensor, piece in zip(bucket, pieces, strict=True):
                tensor.copy_(piece.view_as(tensor))


def buckets(tensors: Sequence[Any]) -> Iterator[list[Any]]:
    """Neighbours of one dtype, up to about `BUCKET` numbers together."""
    held: list[Any] = []
    for tensor in tensors:
        full = sum(one.numel() for one in held) + tensor.numel() > BUCKET
        if held and (full or held[-1].dtype != tensor.dtype):
            yield held
            held = []
        held.append(tensor)
    if held:
        yield held
