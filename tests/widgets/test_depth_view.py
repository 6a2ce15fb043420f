"""The picture of a depth study, its table and its text."""

import re
from base64 import b64decode
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest

from gptoss_magic.records.depth import Bounds, GuardFigure
from gptoss_magic.studies.depth.report import concluded
from gptoss_magic.widgets.depth import depth_html, depth_text, rung_table
from gptoss_magic.widgets.depth_chart import FAMILIES, family_of
from gptoss_magic.widgets.labels import placed_labels
from tests.depth_cases import bounds, study, with_result

NAME = "{http://www.w3.org/2000/svg}"


def svg_of(html):
    """The picture in the page, as a tree."""
    (data,) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)
    return ET.fromstring(b64decode(data))


@pytest.fixture(scope="module")
def whole():
    return concluded(study())


def test_every_rung_has_a_mark_with_its_numbers(whole):
    tree = svg_of(depth_html(whole))
    titles = [one.text for one in tree.iter(f"{NAME}title")]
    assert len(titles) == 25
    (hot,) = [words for words in titles if words.startswith("hot-r8:")]
    assert "gain +69 [57, 77] points" in hot
    assert "5.31 M trained · 10.6 MB · −4 tokens an answer" in hot
    assert len(re.findall(r'<span title="', depth_html(whole))) == 25
    labels = {one.text for one in tree.iter(f"{NAME}text")}
    assert {one.rung.key for one in whole.results} <= labels


def test_no_label_lies_on_another_or_on_a_mark():
    points = [(100.0 + 17 * n % 130, 100.0 + 31 * n % 110) for n in range(25)]
    labels = placed_labels(points, [f"hot-r{n}" for n in range(25)], (0, 0, 700, 400))
    for one, other in combinations([label.box for label in labels], 2):
        across = min(one[2], other[2]) - max(one[0], other[0])
        down = min(one[3], other[3]) - max(one[1], other[1])
        assert min(across, down) <= 0
    for label in labels:
        assert label.box[0] >= 0
        assert label.box[3] <= 400


def test_wide_letters_take_more_room():
    plain, wide = placed_labels([(50, 50), (50, 150)], ["abcd", "漢字漢字"], (0, 0, 300, 300))
    assert wide.box[2] - wide.box[0] > plain.box[2] - plain.box[0]


def test_beaten_rungs_are_grey_and_families_have_a_shape_of_their_own(whole):
    assert len({one.shape for one in FAMILIES if one.name != "bare"}) == len(FAMILIES) - 1
    assert [family_of(step).name for step in (0, 3, 6, 8, 10, 12, 13, 99)] == [
        *("bare", "context alone", "soft prompts", "attention", "experts", "last layers"),
        *("together", "together"),
    ]
    marks = {
        group.find(f"{NAME}title").text.partition(":")[0]: list(group)[1].attrib
        for group in svg_of(depth_html(whole)).iter(f"{NAME}g")
        if group.find(f"{NAME}title") is not None
    }
    assert marks["all-r8"]["fill"] == "none"
    assert marks["hot-r8"]["fill"] == family_of(9).colour


def test_the_table_has_all_figures_and_says_what_is_missing(whole):
    headers, rows = rung_table(whole)
    by_key = {row[0]: dict(zip(headers, row, strict=True)) for row in rows}
    both = by_key["both"]
    assert both["what"] == "the best two together (persona + hot-r8)"
    assert both["general text, nats a token"] == "−0.040 [−0.055, −0.025] *"
    assert by_key["bare"]["gain, points"] == ""
    assert by_key["all-r8"]["standing"] == "beaten by a cheaper one"
    refused = GuardFigure("reasoning", bounds(0.7, 0.1), refused="40 % are cut")
    odd = with_result(whole, "persona", guards=(refused,), kl=None, thinking=None, gain=None)
    headers, rows = rung_table(odd)
    persona = dict(zip(headers, next(row for row in rows if row[0] == "persona"), strict=True))
    assert persona["reasoning, points"] == "not compared: 40 % are cut"
    assert persona["standing"] == "not placed"
    assert "Without a place, since not measured: persona." in depth_html(odd)
    assert "persona:" not in "".join(
        one.text for one in svg_of(depth_html(odd)).iter(f"{NAME}title")
    )


@pytest.mark.parametrize(
    "keys", [set(), {"persona"}, {"hot-r8", "random-r8"}], ids=["bare", "one", "two"]
)
def test_small_studies_have_a_picture_too(keys):
    depth = concluded(study(keys, finish="interrupt"))
    html = depth_html(depth)
    assert len(list(svg_of(html).iter(f"{NAME}title"))) == 1 + len(keys)
    assert "(interim)" in "".join(svg_of(html).itertext())
    assert "Interim" in depth_text(depth)


def test_a_study_of_nothing_yet_is_a_line():
    depth = concluded(replace(study(set()), results=()))
    assert "no rung is measured yet" in depth_html(depth)
    assert "<img" not in depth_html(depth)
    assert "0 of 1 rungs" in depth_text(depth)


def test_what_is_not_finite_is_drawn_nowhere():
    endless = Bounds(0.1, float("-inf"), float("inf"))
    nothing = Bounds(float("nan"), float("nan"), float("nan"))
    depth = study({"persona", "hot-r8"})
    depth = with_result(depth, "persona", gain=endless, kl=nothing, drift=float("nan"))
    depth = concluded(with_result(depth, "hot-r8", gain=nothing))
    drawn = ET.tostring(svg_of(depth_html(depth)), encoding="unicode")
    assert not re.search(r"\b(nan|inf)\b", drawn)
    assert "+10 […, …]" in depth_text(depth)
    assert "nan" not in depth_text(depth)


def test_names_of_others_are_text(whole):
    bad = '<img src=x onerror="alert(1)">'
    rung = replace(whole.results[1].rung, key="ключ" + bad, name=bad, strength=bad)
    plan = replace(whole.plan, task=bad, notes=(bad,))
    depth = concluded(replace(with_result(whole, "system", rung=rung), plan=plan))
    html = depth_html(depth)
    assert "<img src=x" not in html
    assert "<img src=x" not in ET.tostring(svg_of(html), encoding="unicode")
    assert f"ключ{bad}" in depth_text(depth)


def test_what_was_dropped_stands_below_with_its_reason(whole):
    words = "not run: full-x2 (experts in full, 2 of them): 12 GB of memory; 8 GB are free"
    assert words in depth_html(whole)
    assert words in depth_text(whole)
    assert "2 of 272 rows are the same" in depth_html(whole)
