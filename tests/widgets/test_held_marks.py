"""Half a citation is never shown while an answer streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.quoting import MAX_MARK, HeldMarks
from gptoss_magic.widgets.plain_view import PlainView

TEXT = "As they say 【6†L9-L11】, it is so【8†L3】."


def streamed(pieces):
    """(what was shown after each piece, the whole) of pieces of one channel."""
    marks, shown, steps = HeldMarks(), "", []
    for piece in pieces:
        shown += "".join(text for _, text in marks.take("final", piece))
        steps.append(shown)
    shown += "".join(text for _, text in marks.rest())
    return steps, shown


def test_no_half_of_a_mark_is_shown():
    steps, whole = streamed(TEXT)
    assert whole == TEXT
    assert all(step.count("【") == step.count("】") for step in steps)
    assert steps[-1] == TEXT


def test_what_is_no_citation_is_let_go():
    for text in ("【 and then a line\nends", "【" + "x" * 2 * MAX_MARK, "an open 【6†L"):
        _, whole = streamed(text)
        assert whole == text
    steps, _ = streamed("【 a\n")
    assert steps[-1] == "【 a\n"
    steps, _ = streamed("【" + "x" * MAX_MARK)
    assert steps[-1] == "【" + "x" * MAX_MARK


def test_another_channel_ends_what_is_held_in_order():
    marks = HeldMarks()
    assert marks.take("analysis", "see 【1†L") == [("analysis", "see ")]
    assert marks.take("final", "So 【2") == [("analysis", "【1†L"), ("final", "So ")]
    assert marks.take("final", "†L3】!") == [("final", "【2†L3】!")]
    assert marks.rest() == []


PIECES = st.lists(st.tuples(st.sampled_from("af"), st.text("【】†1L\nx", max_size=9)), max_size=12)


@given(PIECES)
def test_nothing_is_lost_or_moved(pieces):
    marks, told = HeldMarks(), []
    for channel, text in pieces:
        told += marks.take(channel, text)
    told += marks.rest()
    for channel in "af":
        said = "".join(text for name, text in pieces if name == channel)
        assert "".join(text for name, text in told if name == channel) == said


@pytest.mark.parametrize("end", ["flush", "finish"])
def test_a_terminal_shows_them_whole_and_in_order(capsys, end):
    from gptoss_magic.records import Transcript

    view = PlainView()
    with view:
        for piece in ("Moon 【1", "†L4", "】 and 【2†"):
            view.delta("final", piece)
            assert "【1†L" not in capsys.readouterr().out.replace("【1†L4】", "")
        view.flush() if end == "flush" else view.finish(Transcript(final="x"))
    assert "【2†" in capsys.readouterr().out
