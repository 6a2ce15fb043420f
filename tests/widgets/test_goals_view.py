"""How goals are shown: a picture that stays, lines that say the same, nothing that runs."""

import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from html.parser import HTMLParser
from itertools import combinations

import pytest

from gptoss_magic.records.goals import STATES, Goal, GoalBoard, GoalNode, GoalTest, GoalTry
from gptoss_magic.widgets.goal_graph import RADIUS, WIDTH, graph_svg, shown_nodes
from gptoss_magic.widgets.goals import GoalsView, board_html, board_text

EVIL = "<script>alert(1)</script>\n<img src=x onerror=alert(2)>"


def node(name, after=(), state="open", reason="", text="Do it.", tries=()):
    return GoalNode(Goal(name, text, GoalTest("tick"), tuple(after)), state, reason, tuple(tries))


def every_state():
    """A goal of each state, one behind the other and beside each other."""
    done = GoalTry("a", "k", True, "the test is true", "42", tokens=812, calls=3, seconds=12.1)
    return GoalBoard(
        "отчёт",
        (
            node("найти числа", state="done", reason="the test is true", tries=[done]),
            node("картинка", state="running", reason="try 2"),
            node("сумма", ["найти числа"], "failed", "answer == 42 is false; 3 of 3 tries"),
            node("a goal with a very long name of 40 lettrs", ["сумма"], "blocked", "it waits"),
            node("черновик", state="dropped", reason="the cell has it no more"),
            node("готово", ["сумма", "картинка", "найти числа"]),
        ),
        notes=("line 3 of the journal is damaged and left out",),
    )


def test_the_text_has_each_goal_with_its_state_and_why():
    lines = board_text(every_state()).splitlines()
    assert lines[0] == "отчёт: 1 of 5 done · 812 tokens · 3 calls · 12.1 s"
    assert "[x] найти числа · done: the test is true · 1 try" in lines
    assert "[!] сумма (after найти числа) · failed: answer == 42 is false; 3 of 3 tries" in lines
    assert lines[-1] == "line 3 of the journal is damaged and left out"
    assert {line[:3] for line in lines[1:-1]} == {"[x]", "[~]", "[!]", "[=]", "[-]", "[ ]"}


def marks(svg):
    """(x, y) of each goal's mark, by its tooltip."""
    tree = ET.fromstring(svg)
    found = {}
    for one in tree.iter("{http://www.w3.org/2000/svg}g"):
        place = re.fullmatch(r"translate\((\S+) (\S+)\)", one.get("transform", ""))
        title = one.find("{http://www.w3.org/2000/svg}title").text
        found[title.rpartition(": ")[0]] = (float(place[1]), float(place[2]))
    return found


def test_the_picture_has_each_below_what_it_waits_for_and_no_line_through_a_mark():
    board = every_state()
    svg = graph_svg(board)
    places = marks(svg)
    assert len(places) == len(board) == len(STATES)
    for one in board:
        for name in one.goal.after:
            assert places[name][1] < places[one.goal.name][1]
            assert places[name][0] < places[one.goal.name][0]
    for one, other in combinations(places.values(), 2):
        assert abs(one[1] - other[1]) >= 2 * RADIUS
    paths = re.findall(r'd="M(\S+) (\S+)H(\S+)V(\S+)H(\S+)"', svg)
    assert len(paths) == 5
    left_of_words = min(float(x) for x in re.findall(r'<text x="(\S+)"', svg))
    for x0, y0, turn, y, x in (map(float, path) for path in paths):
        assert max(turn, x) < left_of_words <= WIDTH
        for mark_x, mark_y in places.values():
            if y0 < mark_y < y:
                assert abs(mark_x - turn) > RADIUS
        assert x0 < turn < x


def test_words_of_a_model_are_text():
    done = GoalTry("a", "k", True, EVIL, EVIL)
    board = GoalBoard(EVIL, (node("a", state="done", reason=EVIL, text=EVIL, tries=[done]),))
    html = board_html(board)
    assert EVIL.split("\n")[0] not in html
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append((tag, dict(attrs)))
    parser.feed(html)
    assert {tag for tag, _ in tags} == {"div", "img", "details", "summary", "span", "pre"}
    (image,) = [attrs for tag, attrs in tags if tag == "img"]
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    kind, _, data = image["src"].partition("base64,")
    assert kind == "data:image/svg+xml;"
    assert "<script" not in b64decode(data).decode()
    ET.fromstring(b64decode(data))


def test_a_circle_of_a_journal_is_drawn_and_ends():
    board = GoalBoard("x", (node("a", ["b"]), node("b", ["a"]), node("c", ["nosuch"])))
    assert len(marks(graph_svg(board))) == 3
    assert len(shown_nodes(board)) == 3


@pytest.mark.parametrize("length", [1, 30])
def test_a_long_chain_stays_within_the_picture(length):
    names = [f"g{n}" for n in range(length)]
    nodes = [node(name, names[n - 1 : n] if n else ()) for n, name in enumerate(names)]
    svg = graph_svg(GoalBoard("x", tuple(nodes)))
    assert max(x for x, _ in marks(svg).values()) < WIDTH / 2


def test_a_terminal_sees_the_end_alone(capsys):
    with GoalsView("x") as view:
        view.show(every_state())
        view.count(5)
        assert capsys.readouterr().out == ""
        view.finish(every_state())
    assert capsys.readouterr().out == board_text(every_state()) + "\n"
    with GoalsView("x", quiet=True) as view:
        view.finish(every_state())
    assert capsys.readouterr().out == ""
