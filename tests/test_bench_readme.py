"""The pages' figures are those of the file that a run wrote, and the tables are written from it."""

import pytest

from benchmarks.__main__ import FIGURES
from benchmarks.figure import compared
from benchmarks.readme import ALL, BEGIN, END, KEPT, README, from_kept, joined, read, with_table
from benchmarks.table import Outcome, aligned, cells, short


def seven(name="seven", peer=7.0):
    return compared(name, "s", 1.0, peer, "what it is", less_is_better=True)


@pytest.mark.parametrize("page", [README, ALL], ids=lambda page: page.name)
def test_a_page_has_the_figures_that_were_measured(page):
    assert from_kept(page) == page.read_text("utf-8")


def test_the_kept_figures_are_those_that_there_are():
    kept = set(read(KEPT))
    assert kept
    assert kept <= set(FIGURES)


def test_the_table_stands_between_the_markers():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    made = with_table(text, "two cores", {"seven": seven()})
    assert made.startswith(f"before\n{BEGIN}\n\nMeasured on: two cores.\n\n| name |")
    assert "| `seven` | 7 | 1 | 7 | s | what it is |" in made
    assert "old" not in made
    assert made.endswith(f"{END}\nafter\n")
    assert with_table(made, "two cores", {"seven": seven()}) == made
    with pytest.raises(ValueError, match="lacks its markers"):
        with_table("no marker", "", {})


def test_a_latest_figure_replaces_a_kept_one_and_unknown_ones_go(tmp_path):
    kept = {name: seven(name) for name in ("load_ext_ms", "stream_overhead", "gone")}
    made = joined(kept, {"stream_overhead": seven("stream_overhead", 8.0)})
    assert [(figure.name, figure.peer) for figure in made] == [
        ("load_ext_ms", 7.0),
        ("stream_overhead", 8.0),
    ]
    assert read(tmp_path / "none.jsonl") == {}


def test_a_row_says_why_a_figure_is_missing():
    skipped = Outcome("alone", 1.0, why="the peer is missing")
    failed = Outcome("bad", 1.0, failed=True, why="ValueError: no such shape")
    lines = aligned([cells(seven()), skipped.cells(), failed.cells()]).splitlines()
    assert lines[0].split() == ["name", "ratio", "ours", "peer", "unit", "what"]
    assert lines[2].split(maxsplit=2) == ["alone", "skipped", "the peer is missing"]
    assert lines[3].split(maxsplit=2) == ["bad", "failed", "ValueError: no such shape"]
    assert [short(number) for number in (1234.5, 12.345, 0.98765)] == ["1234", "12.3", "0.988"]
