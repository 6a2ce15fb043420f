"""What leaves a rank, counted in torch's collectives as they are called, in bytes.

Of a sum or a gathering each rank sends what a ring needs: (N-1)/N of the tensor for each of its
rounds; of an exchange what is not its own. Legend: N ranks.
"""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


def num_bytes(tensors: Any) -> int:
    """Of one tensor, or of a list of them."""
    several = tensors if isinstance(tensors, (list, tuple)) else [tensors]
    return sum(int(tensor.numel()) * tensor.element_size() for tensor in several)


class Wire(TorchDispatchMode):
    """Within, `sent` grows by what rank `rank` of `size` sends."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__()
        self.rank, self.size, self.sent = rank, size, 0.0

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            self.sent += self._leaving(func._schema.name.removeprefix("c10d::"), args)
        return func(*args, **(kwargs or {}))

    def _leaving(self, name: str, args: Any) -> float:
        """Bytes of one call. Raises KeyError for a collective that no strategy calls."""
        away = (self.size - 1) / self.size
        if name == "alltoall_base_":
            rows, splits = args[1], args[4]
            own = splits[self.rank] / max(1, sum(splits))
            return num_bytes(rows) * (1 - own)
        calls = {
            "allreduce_": lambda: 2 * away * num_bytes(args[0]),
            "_allgather_base_": lambda: away * num_bytes(args[0]),
            "allgather_": lambda: away * num_bytes(args[0][0]),
            "_reduce_scatter_base_": lambda: away * num_bytes(args[1]),
            "barrier": lambda: 0.0,
        }
        return float(calls[name]())
