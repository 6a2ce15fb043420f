"""Experts in equal shares: each rank has as many of a layer."""

from __future__ import annotations

from gptoss_magic.errors import InputError


def check_even(num_experts: int, num_ranks: int) -> None:
    """Raise InputError where a layer's experts are not so many ranks' equal shares."""
    if num_experts % num_ranks:
        fitting = [str(n) for n in range(1, num_experts + 1) if num_experts % n == 0]
        raise InputError(
            f"--launch {num_ranks}: {num_experts} experts a layer are shared out evenly on "
            f"{', '.join(fitting)} processes"
        )
