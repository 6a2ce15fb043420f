"""Ten steps of each method as one rank of several; rank 0 writes what came out.

python -m torch.distributed.run --nproc-per-node 2 parity_script.py OUT METHOD…
"""

import sys
from pathlib import Path

import torch

from gptoss_magic.ranks.group import joined, my_place
from gptoss_magic.ranks.replicated import Replicated
from tests.ranks.parity import trained, written


def main(out, methods):
    place = my_place()
    with joined(place, torch.device("cpu"), None) as group:
        for name in methods:
            found = trained(name, Replicated(group))
            if place.rank == 0:
                written(found, Path(out) / f"{name}.safetensors")


main(sys.argv[1], sys.argv[2:])
