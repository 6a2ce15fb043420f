"""Loads of experts as distributions: how even one is, how far two are apart."""

from __future__ import annotations

from typing import Any


def entropy(p: Any) -> Any:
    """Entropy of distributions along the last axis, in nats."""
    import numpy as np

    p = np.asarray(p, dtype=np.float64)
    return -(p * np.log(np.where(p > 0, p, 1))).sum(-1)


def js_distance(p: Any, q: Any) -> Any:
    """Jensen-Shannon distance of distributions along the last axis, from 0 to 1.

    The root of the divergence in bits: √(½ KL(p‖m) + ½ KL(q‖m)), m = ½(p + q), log base 2.
    Source: Endres and Schindelin (2003), A new metric for probability distributions.
    """
    import numpy as np

    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    middle = (p + q) / 2

    def divergence(x: Any) -> Any:
        ratio = np.divide(x, middle, out=np.ones_like(middle), where=(x > 0) & (middle > 0))
        return (x * np.log2(ratio)).sum(-1)

    return np.sqrt(np.clip((divergence(p) + divergence(q)) / 2, 0, 1))
