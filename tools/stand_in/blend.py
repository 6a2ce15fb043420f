"""Mixtures between those that were made: python -m tools.stand_in.blend OUT MADE [OTHER] --scale S.

The differences of MADE's experts times S; with OTHER the mean of both, routers too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gptoss_magic.model.stand_in.mixture import Factors, Mixture, read_mixture, write_mixture


def scaled(mixture: Mixture, scale: float) -> Mixture:
    """The experts' differences from the dense MLP times `scale`."""
    factors = {key: Factors(a, scale * b) for key, (a, b) in mixture.factors.items()}
    return mixture._replace(factors=factors)


def mean(one: Mixture, other: Mixture) -> Mixture:
    """Half of each; of two states of one training, whose factors lie near each other."""
    factors = {
        key: Factors((a.float() + other.factors[key].a) / 2, (b.float() + other.factors[key].b) / 2)
        for key, (a, b) in one.factors.items()
    }
    routers = [
        ((weight + w) / 2, (bias + b) / 2)
        for (weight, bias), (w, b) in zip(one.routers, other.routers, strict=True)
    ]
    return Mixture(factors, routers)


def main() -> None:
    """Write the two files of a mixture into OUT."""
    parser = argparse.ArgumentParser(prog="tools.stand_in.blend")
    parser.add_argument("out", type=Path)
    parser.add_argument("made", type=Path)
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    mixture = read_mixture(given.made)
    if given.other:
        mixture = mean(mixture, read_mixture(given.other))
    write_mixture(scaled(mixture, given.scale), given.out)


if __name__ == "__main__":
    main()
