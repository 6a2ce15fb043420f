"""The picture of a goal graph: a row for each goal, those that wait below and to the right.

Lines run in the margin alone, so that none crosses a word. An image knows nothing of the page's
theme: all is seen on white and on black, and a state has a sign, not a colour alone.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.quoting import in_width, one_line
from gptoss_magic.widgets.curves import GREY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.records.goals import GoalBoard, GoalNode

WIDTH, ROW, TOP = 380, 40, 8  # pixels; narrow, so that a narrow window shows all of it
LEFT, STEP, MOST_MARGIN = 14, 26, 150
RADIUS = 7
NAME_PX, REASON_PX = 7.4, 6.0  # about so wide is a letter
COLOURS = {
    "open": GREY,
    "running": "#3b82d0",
    "done": "#2f9150",
    "failed": "#d04a42",
    "blocked": "#b3730d",
    "dropped": GREY,
}
SIGNS = {  # drawn in white around a mark's middle
    "done": "M-3.4 .3l2.4 2.4 4.6-5",
    "failed": "M-2.8-2.8l5.6 5.6M2.8-2.8l-5.6 5.6",
    "blocked": "M-3.4 0h6.8",
}


def graph_svg(board: GoalBoard) -> str:
    """The picture itself, `size_of(board)` wide and high."""
    nodes = shown_nodes(board)
    places = _places(nodes)
    width, height = size_of(board)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui, sans-serif" fill="{GREY}">'
    )
    margin = max(x for x, _ in places.values()) + RADIUS + 9
    parts = [head, *_edges(nodes, places)]
    for node in nodes:
        parts += [_mark(node, *places[node.goal.name]), _words(node, margin, places)]
    return "".join([*parts, "</svg>"])


def size_of(board: GoalBoard) -> tuple[int, int]:
    """(width, height) in pixels."""
    return WIDTH, len(board) * ROW + 2 * TOP


def shown_nodes(board: GoalBoard) -> list[GoalNode]:
    """The goals in the order of the rows: each below all that it waits for."""
    depths = _depths(board.nodes)
    return sorted(board.nodes, key=lambda node: depths[node.goal.name])


def _depths(nodes: Sequence[GoalNode]) -> dict[str, int]:
    """How many goals stand one behind the other before each; a circle of a journal ends too."""
    known = {node.goal.name: node.goal for node in nodes}
    found = dict.fromkeys(known, 0)
    for _ in known:
        for name, goal in known.items():
            above = [found[one] + 1 for one in goal.after if one in known]
            found[name] = min(max(above, default=0), len(known))
    return found


def _places(nodes: Sequence[GoalNode]) -> dict[str, tuple[float, float]]:
    """The middle of each mark."""
    depths = _depths(nodes)
    step = _step(depths)
    return {
        node.goal.name: (LEFT + step * depths[node.goal.name], TOP + ROW * (row + 0.5))
        for row, node in enumerate(nodes)
    }


def _step(depths: Mapping[str, int]) -> float:
    """Pixels from one column to the next."""
    return min(STEP, MOST_MARGIN / max(1, *depths.values()))


def _edges(nodes: Sequence[GoalNode], places: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """From each goal to those that wait for it: right, down between two columns, right again."""
    columns: dict[float, list[str]] = {}
    room = max(2.0, _step(_depths(nodes)) - 2 * RADIUS)
    for node in nodes:
        for name in node.goal.after:
            if name in places and name not in columns.setdefault(places[name][0], []):
                columns[places[name][0]].append(name)
    for node in nodes:
        x, y = places[node.goal.name]
        for name in node.goal.after:
            if name not in places:
                continue
            x0, y0 = places[name]
            own = columns[x0]
            share = (own.index(name) + 1) / (len(own) + 1)
            turn = x0 + RADIUS + share * room
            path = f"M{x0 + RADIUS:.1f} {y0:.1f}H{turn:.1f}V{y:.1f}H{x - RADIUS:.1f}"
            yield (
                f'<path d="{path}" fill="none" stroke="{GREY}" stroke-opacity="0.65" '
                'stroke-width="1.3" stroke-linejoin="round"/>'
            )


def _mark(node: GoalNode, x: float, y: float) -> str:
    colour, state = COLOURS.get(node.state, GREY), node.state
    solid = state in SIGNS
    dash = ' stroke-dasharray="2 2"' if state == "dropped" else ""
    inner = ""
    if solid:
        inner = f'<path d="{SIGNS[state]}" fill="none" stroke="#fff" stroke-width="1.7"/>'
    elif state == "running":
        inner = f'<circle r="3.2" fill="{colour}"/>'
    return (
        f'<g transform="translate({x:.1f} {y:.1f})"><title>{escape(_title(node))}</title>'
        f'<circle r="{RADIUS}" fill="{colour if solid else "none"}" stroke="{colour}" '
        f'stroke-width="1.6"{dash}/>{inner}</g>'
    )


def _words(node: GoalNode, x: float, places: Mapping[str, tuple[float, float]]) -> str:
    """The name, and below it the state with its reason."""
    y, room = places[node.goal.name][1], WIDTH - x - 4
    name = in_width(node.goal.name, int(room / NAME_PX))
    about = one_line(f"{node.state}{f': {node.reason}' if node.reason else ''}")
    struck = ' text-decoration="line-through"' if node.state == "dropped" else ""
    return (
        f'<text x="{x:.1f}" y="{y - 2:.1f}" font-size="13" font-weight="600"{struck}>'
        f"{escape(name)}</text>"
        f'<text x="{x:.1f}" y="{y + 12:.1f}" font-size="11" '
        f'fill="{COLOURS.get(node.state, GREY)}">'
        f"{escape(in_width(about, int(room / REASON_PX)))}</text>"
    )


def _title(node: GoalNode) -> str:
    return one_line(f"{node.goal.name}: {node.goal.text}", 400)
