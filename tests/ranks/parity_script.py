"""Six steps of each method as one rank of several; rank 0 writes what came out.

python -m torch.distributed.run --nproc-per-node 2 parity_script.py OUT STRATEGY:METHOD…
"""

import sys
from pathlib import Path

import torch

from gptoss_magic.ranks.group import joined, my_place
from tests.ranks.parity import trained, written


def main(out, wanted):
    place = my_place()
    with joined(place, torch.device("cpu"), None) as group:
        for strategy, name in (one.split(":") for one in wanted):
            found = trained(name, group, strategy)
            if place.rank == 0:
                written(found, Path(out) / f"{strategy}-{name}.safetensors")


main(sys.argv[1], sys.argv[2:])
