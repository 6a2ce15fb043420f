"""Each formula against scipy or statsmodels, and in simulation against what it promises."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.evaluation import statistics as ours

CLOSE = {"rel": 1e-9, "abs": 1e-9}
counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
shares = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=4, max_size=4)
questions = st.lists(shares, min_size=1, max_size=40)
differences = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=12)
NUMS = (30, 100, 300)


def close(value):
    return pytest.approx(value, **CLOSE)


@pytest.mark.parametrize("freedom", [1, 2, 5, 29, 99, 1000])
@pytest.mark.parametrize("share", [0.001, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999])
def test_students_quantile_is_scipys(share, freedom):
    stats = pytest.importorskip("scipy.stats")
    assert ours.t_quantile(share, freedom) == close(stats.t.ppf(share, freedom))


@pytest.mark.parametrize(("num_right", "num"), [(0, 30), (1, 30), (15, 30), (30, 30), (712, 1319)])
def test_wilson_is_scipys(num_right, num):
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.binomtest(num_right, num).proportion_ci(0.95, method="wilson")
    made = ours.wilson(num_right, num)
    assert (made.low, made.high) == (close(theirs.low), close(theirs.high))


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (0, 5), (7, 2), (40, 61), (700, 801)])
def test_mcnemar_is_scipys(better, worse):
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert ours.mcnemar(better, worse) == close(theirs)


def test_mcnemar_and_holm_are_statsmodels():
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    tests = pytest.importorskip("statsmodels.stats.multitest")
    theirs = tables.mcnemar([[50, 12], [4, 30]], exact=True).pvalue
    assert ours.mcnemar(12, 4) == close(theirs)
    values = [0.04, 0.001, 0.2, 0.03, 0.9, 0.04]
    assert ours.holm(values) == close(list(tests.multipletests(values, method="holm")[1]))


def test_the_cluster_error_is_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    tries = np.random.default_rng(3).integers(0, 2, (25, 4)).astype(float)
    groups = np.repeat(np.arange(25), 4)
    model = api.OLS(tries.ravel(), np.ones(100))
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    mean, error = ours.cluster_error(tries.tolist())
    # statsmodels multiplies by (N - 1) / (N - K) too, which is 1 for one parameter
    assert (mean, error) == (close(theirs.params[0]), close(theirs.bse[0]))
    low, high = theirs.conf_int()[0]
    made = ours.student(tries.tolist())
    assert (made.low, made.high) == (close(low), close(high))


def test_the_permutation_test_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    values = [0.5, -0.25, 1.0, 0.0, 0.25, 0.75, -0.5, 0.25]
    theirs = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert ours.permutation(values) == close(theirs.pvalue)


def test_many_flips_come_near_the_exact_value():
    values = [1.0] * 14 + [-1.0] * 6
    assert ours.permutation(values, seed=4) == pytest.approx(ours.mcnemar(14, 6), abs=0.01)
    assert ours.permutation(values, seed=4) == ours.permutation(values, seed=4)


def test_the_smallest_difference_is_that_of_its_sample_size():
    power = pytest.importorskip("statsmodels.stats.power")
    found = ours.smallest_difference(198, 0.1)
    size = power.normal_sample_size_one_tail(found, 0.8, 0.025, std_null=math.sqrt(0.1))
    assert size == close(198)
    assert found == pytest.approx(0.063, abs=5e-4)


@pytest.mark.parametrize("num", [8, 12, 30, 60])
def test_as_many_questions_differ_as_the_difference_has(num):
    least = ours.smallest_difference(num)
    seen = next(share for share in range(num + 1) if ours.mcnemar(share, 0) < 0.05)
    assert seen / num <= least < 1  # all that differ do so one way
    assert ours.smallest_difference(num, level=0.05 / 36) > least


def test_so_few_questions_show_nothing():
    assert ours.smallest_difference(5) > 1
    assert ours.smallest_difference(785, 0.1) == pytest.approx(0.0316, abs=1e-3)


def test_pass_at_k_counts_the_draws():
    assert ours.pass_at_k(4, 0, 2) == 0.0
    assert ours.pass_at_k(4, 1, 2) == close(0.5)
    assert ours.pass_at_k(4, 3, 2) == 1.0
    assert ours.pass_hat_k(4, 3, 2) == close(0.5)
    assert ours.pass_hat_k(4, 4, 4) == 1.0


@given(counts)
def test_a_wilson_interval_has_its_share_within_0_and_1(count):
    made = ours.wilson(*count)
    assert 0 <= made.low <= made.value <= made.high <= 1
    mirror = ours.wilson(count[1] - count[0], count[1])
    assert (made.low, made.high) == (close(1 - mirror.high), close(1 - mirror.low))


@given(questions)
def test_a_clustered_interval_has_its_share_within_0_and_1(tries):
    made = ours.clustered(tries)
    assert 0 <= made.low <= made.value <= made.high <= 1
    assert made.high > made.low


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60))
def test_a_paired_interval_stays_within_1(better, worse, same):
    made = ours.paired_share(better, worse, better + worse + same)
    assert -1 <= made.low < made.high <= 1
    assert made.low <= made.value <= made.high


@given(differences)
def test_a_permutation_value_is_a_chance_and_has_no_side(values):
    value = ours.permutation(values)
    assert 0 < value <= 1
    assert value == ours.permutation([-one for one in values])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_value_and_keeps_their_order(values):
    adjusted = ours.holm(values)
    assert all(after >= before for before, after in zip(values, adjusted, strict=True))
    assert max(adjusted) <= 1
    in_order = [adjusted[place] for place in sorted(range(len(values)), key=values.__getitem__)]
    assert all(first <= second for first, second in pairwise(in_order))


@given(st.integers(1, 12), st.data())
def test_pass_at_k_grows_and_pass_hat_k_falls_with_k(num, data):
    right = data.draw(st.integers(0, num))
    some = [ours.pass_at_k(num, right, k) for k in range(1, num + 1)]
    every = [ours.pass_hat_k(num, right, k) for k in range(1, num + 1)]
    assert some == sorted(some)
    assert every == sorted(every, reverse=True)
    assert some[0] == close(right / num)
    assert every[0] == close(right / num)


def covered(intervals):
    """Share of (interval, truth) where the interval has the truth."""
    held = [made.low <= truth <= made.high for made, truth in intervals]
    return sum(held) / len(held)


@pytest.mark.parametrize("num", NUMS)
def test_wilson_covers_what_it_says(num):
    generator = np.random.default_rng(num)
    truths = generator.uniform(0.1, 0.95, 4000)
    made = ((ours.wilson(int(generator.binomial(num, p)), num), p) for p in truths)
    assert 0.935 <= covered(made) <= 0.965


@pytest.mark.parametrize("num", NUMS)
def test_the_clustered_interval_covers_what_it_says(num):
    """Over tasks that are even, hard or mixed: questions differ, and have four tries each."""
    generator, made = np.random.default_rng(num), []
    for a, b in ((2, 1), (4, 4), (0.5, 0.5), (1, 3)):
        for _ in range(400):
            right = generator.binomial(4, generator.beta(a, b, num))
            tries = [[1.0] * n + [0.0] * (4 - n) for n in right.tolist()]
            made.append((ours.clustered(tries), a / (a + b)))
    assert 0.935 <= covered(made) <= 0.965


@pytest.mark.parametrize("num", NUMS)
def test_the_paired_interval_covers_what_it_says(num):
    generator, made = np.random.default_rng(num), []
    for _ in range(3000):
        better, worse, _ = generator.multinomial(num, [0.2, 0.15, 0.65]).tolist()
        made.append((ours.paired_share(better, worse, num), 0.05))
    assert 0.935 <= covered(made) <= 0.965


def test_the_bootstrap_covers_what_it_says(monkeypatch):
    monkeypatch.setattr(ours, "DRAWS", 600)
    generator, made = np.random.default_rng(5), []
    for seed in range(400):
        easy = generator.beta(2, 1, 100)
        arms = generator.binomial(4, easy), generator.binomial(4, 0.9 * easy)
        made.append((ours.bootstrap(((arms[1] - arms[0]) / 4).tolist(), seed), -1 / 15))
    assert 0.925 <= covered(made) <= 0.975


def arms(generator, num, damage):
    """Right or not, of two arms over the same questions; `damage` of the first is lost."""
    first = generator.random(num) < 0.7
    lost, won = generator.random(num) < damage / 0.7 + 0.05, generator.random(num) < 0.05 * 7 / 3
    return first, np.where(first, ~lost, won)


def p_values(damage, runs=300):
    generator = np.random.default_rng(17)
    for _ in range(runs):
        first, second = arms(generator, 300, damage)
        yield ours.mcnemar(int((second & ~first).sum()), int((first & ~second).sum()))


def test_a_damage_of_ten_points_is_found():
    """300 questions see 4.5 points in four of five runs, so ten nearly always."""
    assert sum(p < 0.05 for p in p_values(0.10)) >= 0.97 * 300


def test_no_damage_is_found_no_oftener_than_said():
    """5 % of 300 runs are 15; an exact test finds fewer, chance alone gives 25 at most."""
    assert sum(p < 0.05 for p in p_values(0.0)) <= 25


def test_five_comparisons_of_equal_arms_find_something_no_oftener_than_one():
    values = list(p_values(0.0, 500))
    families = [ours.holm(values[start : start + 5]) for start in range(0, 500, 5)]
    assert sum(min(family) < 0.05 for family in families) <= 12
