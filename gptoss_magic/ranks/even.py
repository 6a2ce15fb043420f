"""How ranks share out a layer's experts: in equal parts; on a mesh, by its two sides."""

from __future__ import annotations

from gptoss_magic.errors import InputError

BOTH = "fsdp+ep"


def check_even(num_experts: int, num_ranks: int) -> None:
    """Raise InputError where a layer's experts are not so many ranks' equal shares."""
    if num_experts % num_ranks:
        fitting = [str(n) for n in range(1, num_experts + 1) if num_experts % n == 0]
        raise InputError(
            f"--launch {num_ranks}: {num_experts} experts a layer are shared out evenly on "
            f"{', '.join(fitting)} processes"
        )


def mesh_sides(num_ranks: int, on_machine: int = 0) -> tuple[int, int]:
    """(rows, ranks of a row): within a row tokens travel, across the rows bytes are gathered.

    A row is a machine of `on_machine` ranks where there are several such; else there are as few
    rows as can be. Raises InputError for a number that has no two sides.
    """
    if not (1 < on_machine < num_ranks and num_ranks % on_machine == 0):
        on_machine = next((num_ranks // n for n in range(2, num_ranks) if not num_ranks % n), 0)
    if not on_machine:
        raise InputError(
            f"--strategy {BOTH}: {num_ranks} processes make no mesh of two sides; launch 4, 6 or "
            "8, or use ep"
        )
    return num_ranks // on_machine, on_machine
