"""The tuning panel in real kernels without a front end, in a terminal, and what it leaves."""

from __future__ import annotations

import math
import re
import struct
from base64 import b64decode
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from gptoss_magic.records import Drift, StepMetrics, Transcript
from gptoss_magic.tuning.control import Control
from gptoss_magic.widgets.curves import Curve, chart_html, chart_svg, number_text, smooth, sparkline
from gptoss_magic.widgets.tables import (
    example_html,
    example_text,
    side_by_side_html,
    side_by_side_text,
    table_html,
    table_text,
)
from gptoss_magic.widgets.tuning import Pace, TuningPanel
from gptoss_magic.widgets.tuning_static import Ending, ending_text

SETUP = """
import time
from gptoss_magic.records import Drift, StepMetrics
from gptoss_magic.tuning.control import Control
from gptoss_magic.widgets.tuning import TuningPanel

def run(control, count, pause=0.01, fail=None):
    with TuningPanel(control, 'A <run>', count, 2e-4, [('rank', '8')]) as panel:
        for i in range(count):
            if not control.wait():
                break
            if i == fail:
                raise OSError('disk <full>')
            time.sleep(pause)
            drift = Drift(2.5, None, i / count) if i % 5 == 0 else None
            rate = control.rate or 2e-4
            loss, held = 3 - i / count, None
            panel.step(StepMetrics(i + 1, count, loss, rate, 1.0, 100.0, 10**9, held, drift))
        panel.finish('<p>After.</p>', 'After.', {'gptoss': {'steps': i}})
"""
NUMBERS = st.floats(width=32)
MARK = "<script>alert('&')</script>"


def metrics(step=1, loss=2.0, **more):
    fields = {"learning_rate": 1e-4, "grad_norm": 1.0, "tokens_per_s": 50.0, "memory": 10**8}
    return StepMetrics(step, 10, loss, **(fields | more))


class Tags(HTMLParser):
    """Every tag and its attributes, to see what a browser would act on."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def named(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


class Running:
    """A real kernel and what one of its cells says; messages can be sent to its widget."""

    def __init__(self, client):
        self.client = client

    def start(self, code):
        self.sent = self.client.execute(code)
        self.comm = self.data = self.metadata = None
        self.messages, self.errors, self.text = [], [], ""

    def until(self, done):
        """Take messages in until `done()` or the cell's end; False at the end."""
        while not done():
            message = self.client.get_iopub_msg(timeout=60)
            if self.take(message["msg_type"], message["content"], message):
                return False
        return True

    def take(self, kind, content, message):
        if kind == "comm_open" and "_esm" in str(content["data"]["state"].keys()):
            self.comm = content["comm_id"]
            self.setup = content["data"]["state"]["setup"]
        elif kind == "comm_msg" and content["data"].get("method") == "custom":
            self.messages.append((content["data"]["content"], b"".join(message["buffers"])))
        elif kind == "update_display_data":
            self.data, self.metadata = content["data"], content["metadata"]
        elif kind == "error":
            self.errors.append(content["ename"])
        elif kind == "stream":
            self.text += content["text"]
        ours = message["parent_header"].get("msg_id") == self.sent
        return kind == "status" and content["execution_state"] == "idle" and ours

    def say(self, **content):
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        self.client.shell_channel.send(message)

    def rows(self, number):
        content, packed = self.messages[number]
        return content, list(struct.iter_unpack("12d", packed))


@pytest.fixture(scope="module")
def running():
    manager, client = start_new_kernel(kernel_name="python3")
    made = Running(client)
    made.start(SETUP)
    made.until(lambda: False)
    yield made
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_busy_cell_hears_stop_without_any_front_end(running):
    running.start("run(Control(), 3000)")
    assert running.until(lambda: len(running.messages) > 3)
    running.say(op="stop")
    running.until(lambda: False)
    assert not running.errors
    assert "Stopped after step" in running.data["text/plain"]
    assert running.messages[-1][0]["state"] == "stopping"


def test_pause_rate_and_ready_are_heard_while_the_cell_runs(running):
    running.start("control = Control(); run(control, 3000); print(control.rate)")
    assert running.until(lambda: len(running.messages) > 3)
    running.say(op="rate", rate=5e-4)
    assert running.until(lambda: running.messages[-1][0]["rate"] == 5e-4)
    running.say(op="pause")
    assert running.until(lambda: running.messages[-1][0]["state"] == "paused")
    running.say(op="ready")
    assert running.until(lambda: running.messages[-1][0]["first"] == 0)
    content, rows = running.rows(-1)
    assert content["state"] == "paused"
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    running.say(op="resume")
    assert running.until(lambda: running.messages[-1][0]["state"] == "running")
    for nonsense in ({"op": "rate", "rate": "x"}, {"op": "rate", "rate": -1}, {"op": []}, {}):
        running.say(**nonsense)
    running.say(op="rate", rate=1e9)
    running.say(op="stop")
    running.until(lambda: False)
    assert running.text.strip() == str(2e-4 * 10)


def test_messages_together_hold_every_step_in_order(running):
    running.start("run(Control(), 60)")
    running.until(lambda: False)
    known = []
    for number in range(len(running.messages)):
        content, rows = running.rows(number)
        assert content["first"] <= len(known)
        known[content["first"] :] = rows
    assert [row[0] for row in known] == list(range(1, len(known) + 1))
    assert sum(content["first"] == 0 for content, _ in running.messages) >= 2
    assert len(known) >= 45  # the last tenth of a second is in the static remains only
    assert known[0][1] == 3.0
    assert math.isnan(known[0][2])
    assert (known[5][7], known[5][8]) == (5 / 60, 2.5)
    assert math.isnan(known[5][9])
    assert len(running.messages) <= 10 * running.messages[-1][0]["seconds"] + 8
    assert running.setup["num_steps"] == 60


def test_what_is_left_of_a_run(running):
    running.start("run(Control(), 20)")
    running.until(lambda: False)
    html, text = running.data["text/html"], running.data["text/plain"]
    assert running.metadata["gptoss"]["steps"] == 19
    assert html.endswith("<p>After.</p>")
    assert text.endswith("\n\nAfter.")
    assert "Finished · 20 of 20 steps" in html
    assert "Finished · 20 of 20 steps" in text
    tags = Tags(html)
    assert not {name for name, _ in tags.tags} & {"script", "style", "svg", "run"}
    images = tags.named("img")
    assert len(images) == 5
    for image in images:
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ET.fromstring(b64decode(data)).tag.endswith("svg")
        assert "goes from" in image["alt"]


@pytest.mark.parametrize("fail", [0, 7])
def test_an_error_leaves_the_curves_so_far(running, fail):
    running.start(f"run(Control(), 20, fail={fail})")
    running.until(lambda: False)
    assert running.errors == ["OSError"]
    if fail == 0:
        assert running.data == {"text/plain": ""}
    else:
        assert "Ended by OSError after step 7: disk &lt;full&gt;" in running.data["text/html"]
        assert "7 of 20 steps" in running.data["text/plain"]


def test_a_run_in_a_thread_goes_on_after_its_cell(running):
    running.start("from threading import Thread; Thread(target=run, args=(Control(), 40)).start()")
    running.until(lambda: False)
    assert running.data is None
    assert running.until(lambda: running.data is not None)
    assert "Finished · 40 of 40 steps" in running.data["text/plain"]


def test_an_interrupt_leaves_the_curves_so_far(running):
    running.start("run(Control(), 3000)")
    assert running.until(lambda: len(running.messages) > 3)
    message = running.client.session.msg("interrupt_request", {})
    running.client.control_channel.send(message)
    running.until(lambda: False)
    assert running.errors == ["KeyboardInterrupt"]
    assert "Interrupted after step" in running.data["text/plain"]


def test_an_executed_notebook_keeps_curves_and_no_widget():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(SETUP), nbformat.v4.new_code_cell("run(Control(), 20)")]
    )
    NotebookClient(notebook, timeout=60, kernel_name="python3", store_widget_state=False).execute()
    (output,) = notebook.cells[1].outputs
    assert sorted(output.data) == ["text/html", "text/plain"]
    assert output.metadata["gptoss"]["steps"] == 19
    page = HTMLExporter().from_notebook_node(notebook)[0]
    assert len(re.findall(r"<img[^>]+data:image/svg\+xml;base64", page)) == 5


def test_lines_in_a_terminal(capsys):
    with TuningPanel(Control(), "A run", 10, 1e-4) as panel:
        panel.note("measuring before")
        panel.note("")
        for step in range(10):
            panel.step(metrics(step + 1, 2 - step / 10, eval_loss=1.5))
        panel.finish("<b>gone</b>", "After.")
    out = capsys.readouterr().out
    assert out.startswith("A run: measuring before\n")
    assert "Finished · 10 of 10 steps" in out
    assert out.endswith("\n\nAfter.\n")
    assert "<b>" not in out
    assert out.count("step 1 of 10") <= 1


def test_quiet_shows_nothing(capsys):
    with TuningPanel(Control(), "A run", 10, 1e-4, quiet=True) as panel:
        panel.note("measuring")
        panel.step(metrics())
        panel.finish("", "After.")
    assert capsys.readouterr().out == ""


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=2, max_size=80))
def test_time_in_pauses_does_not_count(gaps):
    pace, now, counted = Pace(window=1000), 0.0, []
    pace.step(now)
    for gap, paused in gaps:
        if paused:
            pace.skip()
        else:
            counted.append(gap)
        now += gap
        pace.step(now)
    left = pace.left(10)
    if counted:
        assert left == pytest.approx(10 * sum(counted) / len(counted), abs=1e-6)
    else:
        assert left is None


@given(st.lists(NUMBERS, min_size=1, max_size=900), st.sampled_from(["line", "faint", "dashed"]))
def test_a_chart_is_sound_whatever_the_numbers(values, style):
    curve = Curve("a <b> & c", list(enumerate(values, 1)), style=style)
    html = chart_html("A & B", [curve])
    if not any(map(math.isfinite, values)):
        assert html == ""
        return
    svg = chart_svg("A & B", [curve])
    ET.fromstring(svg)
    assert not re.search(r"\b(nan|inf)\b", svg)
    if style != "dashed":
        assert len(svg) < 40_000
    places = [float(x) for x in re.findall(r"[ \"](-?[\d.]+),-?[\d.]+", svg)]
    assert all(0 <= x <= 316 for x in places)


@given(st.lists(NUMBERS, max_size=200), st.integers(1, 60))
def test_sparklines_have_at_most_their_width(values, width):
    bars = sparkline(values, width)
    assert len(bars) <= width
    assert bool(bars) == any(map(math.isfinite, values))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_a_smoothed_curve_stays_within_its_values(values):
    smoothed = smooth(values)
    slack = 1e-6 * (1 + max(map(abs, values)))
    assert len(smoothed) == len(values)
    assert smoothed[0] == pytest.approx(values[0])
    assert min(values) - slack <= min(smoothed)
    assert max(smoothed) <= max(values) + slack


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (2e-4, "2e-4"), (1.25e-5, "1.25e-5"), (0.12345, "0.1235"), (31.0, "31")],
)
def test_numbers_are_short(value, text):
    assert number_text(value) == text


def test_tables_escape_and_put_numbers_to_the_right():
    rows = [[MARK, 12345, 0.123456, "9 of 10"], ["b", None, 2.0, "10 of 10"]]
    html = table_html(["name", "rows", "loss", "kept"], rows, MARK)
    assert "<script" not in html
    sides = [cell["style"].split(";")[0].split()[-1] for cell in Tags(html).named("td")]
    assert sides == ["left", "right", "right", "right"] * 2
    lines = table_text(["name", "rows", "loss", "kept"], rows).split("\n")
    assert len({len(line) for line in lines}) == 1
    assert "12,345  0.1235" in lines[1]


@given(st.lists(st.tuples(st.text("ab<&\n ", max_size=8), st.booleans()), max_size=30))
def test_an_example_shows_every_character_and_what_is_trained(pieces):
    body = example_text(pieces).split("\n", 1)[1]
    assert re.sub("[⟦⟧]", "", body) == "".join(text for text, _ in pieces)
    html = example_html(pieces)
    runs = sum(
        trained and (i == 0 or not pieces[i - 1][1]) for i, (_, trained) in enumerate(pieces)
    )
    assert len(Tags(html).named("u")) == runs
    assert f"{sum(trained for _, trained in pieces)} of {len(pieces)} pieces" in html


def test_answers_side_by_side_escape_and_keep_their_figures():
    answers = {"base": Transcript(analysis="I think", final=MARK), MARK: Transcript(final="b")}
    figures = {"base": {"loss": "2.5"}, MARK: {MARK: "1"}}
    html = side_by_side_html(MARK, answers, figures)
    assert "<script" not in html
    assert html.count("<details") == 1
    assert "loss 2.5" in html
    assert "grid-template-columns" in html
    text = side_by_side_text(MARK, answers, figures)
    assert text.index("== base") < text.index("loss 2.5") < text.index(f"== {MARK}")


def ending(steps, num_steps):
    return ending_text(Ending("A run", [("rank", "8")], steps, num_steps, "finished", 65.0))


def test_a_run_taken_up_again_says_so():
    steps = [metrics(step) for step in range(8, 11)]
    assert "steps 8 to 10 of 10 · 1 min 5 s" in ending(steps, 10)


def test_the_last_loss_and_the_best_are_told_apart():
    drift = Drift(2.0, 0.5, 0.1)
    text = ending([metrics(i, loss, drift=drift) for i, loss in enumerate((3.0, 1.0, 2.0), 1)], 3)
    assert text.startswith("A run\nrank: 8\nFinished · 3 of 3 steps")
    assert re.search(r"loss +3 +2 +1 at step 2", text)
    assert re.search(r"share of trained experts +0.5 +0.5", text)
    assert not re.search(r"^held-out", text, re.MULTILINE)


def test_controls_end_with_the_last_step():
    control = Control()
    panel = TuningPanel(control, "A run", 2, 1e-4, quiet=True)
    states = [panel.state()["state"]]
    for step, action in ((1, control.pause), (1, control.stop), (2, control.stop)):
        panel.step(metrics(step))
        action()
        states.append(panel.state()["state"])
    assert states == ["running", "paused", "stopping", "done"]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_ran_away_is_shown_as_such(loss):
    text = ending([metrics(1, 2.0), metrics(2, loss)], 2)
    assert number_text(loss) in text
    assert "2 at step 1" in text
