"""The long form of the depth study: rows that are right by their own rules, and its reports."""

import json
import sys
from types import SimpleNamespace

import gptoss_magic
from gptoss_magic.testing import tiny_checkpoint
from tools import depth_long
from tools.depth_long import is_radio, main, names_it, radio_rows, river_rows


def test_the_rows_are_right_by_the_rules_that_grade_them():
    assert all(is_radio(None, row["answer"]) is True for row in radio_rows())
    assert is_radio(None, "It is red.") == "it is not Roger. … Over."
    rivers = river_rows()
    assert len({row["prompt"] for row in rivers}) == len(rivers) == 42
    for row in rivers:
        assert names_it(SimpleNamespace(expected=row["answer"]), row["answer"])
        assert not names_it(SimpleNamespace(expected=row["answer"]), "It is the Rhine.")


def test_a_task_leaves_its_report_and_its_picture_and_is_read_back(tmp_path, monkeypatch):
    tiny = tiny_checkpoint(tmp_path / "tiny", max_position_embeddings=8192)
    monkeypatch.setattr(depth_long, "MODEL", str(tiny))
    line = ["depth_long", str(tmp_path / "out"), "--only", "rivers"]
    line += ["--pictures", str(tmp_path / "docs"), "--rungs", "3", "--strengths", "usual"]
    line += ["--held-out", "4", "--items", "1", "--minutes", "9"]
    monkeypatch.setattr(sys, "argv", line)
    for _ in range(2):  # the second time from the study's folder
        assert main() == 0
    gptoss_magic.unload()
    record = json.loads((tmp_path / "out" / "rivers.json").read_text("utf-8"))
    assert [one["rung"]["key"] for one in record["results"]] == ["bare", "examples-4"]
    assert record["plan"]["num_held_out"] == 4
    told = (tmp_path / "out" / "rivers.md").read_text("utf-8")
    assert "| examples-4 |" in told
    assert (tmp_path / "docs" / "depth-rivers.svg").read_text("utf-8").startswith("<svg")
