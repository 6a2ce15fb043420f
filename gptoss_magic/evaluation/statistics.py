"""Intervals, errors and tests of scores, each with its source. Only math and numpy.

A score is a share in [0, 1]. Several tries of one question are one cluster: what is averaged, drawn
anew or flipped is a question, never a try.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


CONFIDENCE = 0.95
EXACT = 16  # questions that differ: all 2^16 flips are gone through, beyond that some are drawn
DRAWS = 20_000
AT_ONCE = 1 << 22  # numbers of one block of draws, to bound the memory
DISCORDANT = 0.1  # share of the questions that two arms answer differently, where nobody knows


@dataclass(frozen=True)
class Interval:
    """A value between its bounds."""

    value: float
    low: float
    high: float


def wilson(num_right: int, num: int, confidence: float = CONFIDENCE) -> Interval:
    """A share of `num` answers, one to a question (Wilson 1927; Brown, Cai and DasGupta 2001).

    The interval for one try each at any n: its mean coverage is 94.5 to 95.5 % from 10 questions
    on, where the normal one (value ± 1.96 errors) has 88 % or less near 0 and 1.
    """
    z, share = _normal(confidence), num_right / num
    centre = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    half *= z / (1 + z * z / num)
    low = 0.0 if num_right == 0 else max(0.0, centre - half)
    return Interval(share, low, 1.0 if num_right == num else min(1.0, centre + half))


def cluster_error(tries: Sequence[Sequence[float]]) -> tuple[float, float]:
    """(mean, its standard error) of questions with several tries each.

    Question means first, then the error between questions (Miller 2024, arXiv 2411.00640,
    section 2.2, with the G/(G-1) of Liang and Zeger): sqrt(sum (m - mean)^2 / (G (G - 1))). The
    error is nan for one question.
    """
    means = [sum(question) / len(question) for question in tries]
    num, mean = len(means), sum(means) / len(means)
    if num < 2:  # noqa: PLR2004 (one question says nothing of the others)
        return mean, math.nan
    squares = sum((one - mean) ** 2 for one in means)
    return mean, math.sqrt(squares / (num * (num - 1)))


def student(tries: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> Interval:
    """Mean of questions (or of paired differences) ± t errors; unbounded for one question."""
    mean, error = cluster_error(tries)
    if math.isnan(error):
        return Interval(mean, -math.inf, math.inf)
    half = t_quantile((1 + confidence) / 2, len(tries) - 1) * error
    return Interval(mean, mean - half, mean + half)


def clustered(tries: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> Interval:
    """A share of questions with several tries each: Wilson's interval for the number of
    independent answers that has this cluster-robust error (Dean and Pagano 2015, with Student's
    t for the normal quantile).

    The interval for several tries at any n: it stays within [0, 1] and has a width where all
    questions came out the same. `student` covers 93 % where 30 questions are nearly all right.
    """
    mean, error = cluster_error(tries)
    num, most = len(tries), sum(map(len, tries))
    if num < 2:  # noqa: PLR2004
        return Interval(mean, 0.0, 1.0)
    size = mean * (1 - mean) / error**2 if error else float(num)
    size = min(max(size, 1.0), float(most))
    t = t_quantile((1 + confidence) / 2, num - 1)
    centre = (mean + t * t / (2 * size)) / (1 + t * t / size)
    half = t / (1 + t * t / size)
    half *= math.sqrt(max(mean * (1 - mean), 0.0) / size + t * t / (4 * size * size))
    return Interval(mean, max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean)))


def paired_share(better: int, worse: int, num: int, confidence: float = CONFIDENCE) -> Interval:
    """Difference of two shares over the same `num` questions, one try each.

    `better` questions are right in the second arm alone, `worse` in the first alone. Bonett and
    Price 2012: one answer is added to each of the two cells. At 30 questions of which a tenth
    differ it covers 98 %, too wide rather than too narrow; 95 % where a third differs, or from 300
    questions on.
    """
    up, down = (better + 1) / (num + 2), (worse + 1) / (num + 2)
    centre, error = up - down, math.sqrt((up + down - (up - down) ** 2) / (num + 2))
    half = _normal(confidence) * error
    return Interval((better - worse) / num, max(-1.0, centre - half), min(1.0, centre + half))


def mcnemar(better: int, worse: int) -> float:
    """Two-sided p of two arms over the same questions, one try each (McNemar 1947, exact).

    Only questions that came out differently count: a fair coin says which arm each favours.
    """
    num, fewer = better + worse, min(better, worse)
    tail = sum(math.comb(num, k) for k in range(fewer + 1))
    return min(1.0, 2 * int(tail) / int(2**num))


def permutation(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p of paired question means: signs are flipped (Fisher 1935).

    Exact for up to 16 questions that differ; else `DRAWS` seeded draws and
    (hits + 1) / (draws + 1) (Phipson and Smyth 2010).
    """
    import numpy as np

    sizes = np.abs(np.array([d for d in differences if d], dtype=np.float64))
    seen = abs(sum(differences)) - 1e-9
    if not len(sizes):
        return 1.0
    if len(sizes) <= EXACT:
        numbers = np.arange(2 ** len(sizes))[:, None]
        signs = 1.0 - 2.0 * (numbers >> np.arange(len(sizes)) & 1)
        return float((np.abs(signs @ sizes) >= seen).mean())
    hits, generator = 0, np.random.default_rng(seed)
    for size in _blocks(len(sizes)):
        flips = generator.integers(0, 2, (size, len(sizes)), dtype=np.int8) * 2 - 1
        hits += int((np.abs(flips @ sizes) >= seen).sum())
    return (hits + 1) / (DRAWS + 1)


def bootstrap(
    differences: Sequence[float], seed: int = 0, confidence: float = CONFIDENCE
) -> Interval:
    """Mean of paired question means, questions drawn anew (Efron 1979; percentiles, widened).

    Percentiles alone are too narrow at small n: by sqrt((n - 1) / n), and by the normal quantile
    against Student's t. Their distances from the mean are multiplied by both, as Hesterberg 2015
    ("What teachers should know about the bootstrap", section 5.3) does with their levels. No
    question that differs gives no width; and below some ten that differ it is a sketch.
    """
    import numpy as np

    values, num = np.asarray(differences, dtype=np.float64), len(differences)
    mean = float(values.mean())
    if num < 2:  # noqa: PLR2004
        return Interval(mean, -math.inf, math.inf)
    generator = np.random.default_rng(seed)
    means = [values[generator.integers(0, num, (size, num))].mean(axis=1) for size in _blocks(num)]
    level = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [level, 1 - level])
    wider = t_quantile(1 - level, num - 1) / _normal(confidence) * math.sqrt(num / (num - 1))
    return Interval(mean, mean - (mean - float(low)) * wider, mean + (float(high) - mean) * wider)


def fieller(
    parts: Sequence[float], wholes: Sequence[float], confidence: float = CONFIDENCE
) -> Interval | None:
    """Ratio of two means over the same questions, such as one gain's share of another (Fieller
    1954). None where the lower one is not seen to differ from 0: the set has no bounds then.

    Each side has an answer added both ways in its variance, as `paired_share` has: at 30 questions
    it covers 97 to 99 %, at 100 96 %, from 300 on 95 %. That the sides were chosen as the best of
    several makes it cover more, not less (12 rungs, in simulation).
    """
    import numpy as np

    num = len(parts)
    if num < 2:  # noqa: PLR2004
        return None
    t = t_quantile((1 + confidence) / 2, num - 1)
    above, below = float(np.mean(parts)), float(np.mean(wholes))
    added = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
    (v_above, v_both), (_, v_below) = np.cov(np.hstack([[parts, wholes], added])) * t * t / num
    square, cross = below**2 - v_below, above * below - v_both
    root = cross**2 - square * (above**2 - v_above)
    if square <= 0 or root < 0:
        return None
    low, high = sorted((cross + sign * math.sqrt(root)) / square for sign in (-1.0, 1.0))
    return Interval(above / below, low, high)


def holm(values: Sequence[float]) -> list[float]:
    """Values p of several comparisons, adjusted so that a false find in all stays at its rate
    (Holm 1979, step-down).
    """
    order, adjusted, least = sorted(range(len(values)), key=values.__getitem__), list(values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, values[place] * (len(values) - rank)))
        adjusted[place] = least
    return adjusted


def pass_at_k(num: int, num_right: int, k: int) -> float:
    """Chance that one of `k` tries is right, unbiased, of `num` >= k tries (Chen et al. 2021,
    arXiv 2107.03374, equation 1).
    """
    return 1.0 - math.comb(num - num_right, k) / math.comb(num, k)


def pass_hat_k(num: int, num_right: int, k: int) -> float:
    """Chance that all of `k` tries are right, unbiased, of `num` >= k tries (Yao et al. 2024,
    arXiv 2406.12045, section 3).
    """
    return math.comb(num_right, k) / math.comb(num, k)


def smallest_difference(
    num: int, discordant: float = DISCORDANT, power: float = 0.8, level: float = 0.05
) -> float:
    """Difference of two arms over the same `num` questions that is found with `power`.

    Z sqrt(discordant / num) with Z = z(1 - level / 2) + z(power): Miettinen 1968, with the variance
    of no difference, hence a little too large. `discordant`: share of questions that the arms
    answer differently. It is no less than the difference itself: where it would be, all that
    differ do so one way, and the difference is Z² / num. Above 1: none is found on so few.
    """
    z = NormalDist().inv_cdf
    size = z(1 - level / 2) + z(power)
    least = size * math.sqrt(discordant / num)
    return least if least <= discordant else max(discordant, size * size / num)


def t_quantile(share: float, freedom: int) -> float:
    """Student's t below which `share` lies, for `freedom` >= 1 degrees of freedom."""
    if share == 0.5:  # noqa: PLR2004 (the middle)
        return 0.0
    if share < 0.5:  # noqa: PLR2004
        return -t_quantile(1 - share, freedom)
    low, high = 0.0, 1.0
    while _t_tail(high, freedom) > 1 - share:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_tail(middle, freedom) > 1 - share else (low, middle)
        if high - low <= 1e-13 * high:
            break
    return (low + high) / 2


def _t_tail(t: float, freedom: int) -> float:
    """P(T > t) for t >= 0: half the incomplete beta function (Abramowitz and Stegun 26.7.1)."""
    return _beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2


def _beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function (Abramowitz and Stegun 26.5.8, Lentz's algorithm)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = a * math.log(x) + b * math.log1p(-x)
    front = math.exp(front + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))
    if x >= (a + 1) / (a + b + 2):
        return 1.0 - front * _fraction(1 - x, b, a) / b
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of `_beta`."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            c, d = 1 + term / c, 1 / (1 + term * d)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _normal(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _blocks(num: int) -> list[int]:
    """`DRAWS` in blocks of `num` numbers each, of at most `AT_ONCE` numbers."""
    size = max(1, AT_ONCE // num)
    return [min(size, DRAWS - start) for start in range(0, DRAWS, size)]
