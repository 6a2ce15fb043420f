"""Whether this torch can shard frozen bytes, tried by two processes: `python -m …fsdp_probe`.

The ranks try it again, among themselves, before they share out anything.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from gptoss_magic.children import leave
from gptoss_magic.errors import error_line

SECONDS = 120.0
MODULE = "gptoss_magic.ranks.fsdp_probe"


@cache
def fsdp_refusal(device: str) -> str:
    """Why FSDP2 cannot shard packed bytes here; '' where two processes on the CPU can.

    On GPUs the ranks alone find out: a card of this process may be full.
    """
    if device == "cuda":
        return ""
    from gptoss_magic.ranks.launch import on_loopback

    with tempfile.TemporaryDirectory(prefix="gptoss_magic-probe-") as folder:
        ranks = [
            subprocess.Popen(
                [sys.executable, "-m", MODULE, str(rank), str(Path(folder) / "store")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=on_loopback(),
            )
            for rank in range(2)
        ]
        try:
            said = [rank.communicate(timeout=SECONDS)[0] for rank in ranks]
        except subprocess.TimeoutExpired:
            return f"two processes did not come to an end of it in {SECONDS:.0f} s"
        finally:
            for rank in ranks:
                rank.kill()
                rank.wait()
    ended = [f"a process of two ended with {rank.returncode}" for rank in ranks if rank.returncode]
    return next((line.strip() for line in said if line.strip()), next(iter(ended), ""))


def main(words: list[str]) -> int:
    """One of the two: print why not, or nothing."""
    from datetime import timedelta

    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    from gptoss_magic.ranks.sharded_experts import refusal

    rank, store = int(words[0]), words[1]
    try:
        dist.init_process_group(
            "gloo",
            store=dist.FileStore(store, 2),  # type: ignore[attr-defined]
            rank=rank,
            world_size=2,
            timeout=timedelta(seconds=SECONDS / 2),
        )
        why = refusal(init_device_mesh("cpu", (2,)))
        dist.destroy_process_group()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is why)
        why = error_line(error)
    print(why)
    return 0


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
