"""Everyone can use every widget and read every output in JupyterLab: axe-core finds nothing, in
both themes, in forced colours, (un)folded; 320 pixels cut nothing; the keyboard unfolds all."""

import json
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import nbformat
import numpy as np
import pytest

from gptoss_magic.magics.routing import comparison_html, scores_html
from gptoss_magic.records import CodeRun, Drift, FrameHead, Passage, Step, StepMetrics, ToolCall
from gptoss_magic.records.evaluations import (
    ArmComparison,
    ArmScore,
    Evaluated,
    RoutingParting,
    SharedText,
)
from gptoss_magic.records.served import ServedRow
from gptoss_magic.retrieval.cite import check
from gptoss_magic.retrieval.support import support
from gptoss_magic.routing.compare import RoutingComparison
from gptoss_magic.routing.scores import Scores
from gptoss_magic.studies.depth.report import concluded
from gptoss_magic.widgets.depth import depth_html
from gptoss_magic.widgets.evaluation import evaluation_html, plan_html
from gptoss_magic.widgets.flips import flip_html
from gptoss_magic.widgets.panel import panel_html
from gptoss_magic.widgets.partings import partings_html
from gptoss_magic.widgets.progress import progress_html
from gptoss_magic.widgets.served import served_html
from gptoss_magic.widgets.sources import sources_html
from gptoss_magic.widgets.static_html import transcript_html
from gptoss_magic.widgets.tables import (
    example_html,
    memory_html,
    side_by_side_html,
    table_html,
)
from gptoss_magic.widgets.tuning_static import Ending, ending_html
from tests.browser import plain, shared
from tests.depth_cases import study
from tests.labextension.answers import PNG
from tests.widgets.test_evaluation_view import ONE, OTHER, PLAN
from tests.widgets.test_transcript import FULL
from tools import screenshots as tool

PATH = "/data/of/somebody/" + "a-long-folder/" * 8 + "adapter_model"
GIVEN = (
    Passage(1, "town", "town/museum.md", "Harbour museum", 1, 3, "It was opened in 1902.\nOpen."),
    Passage(2, "town", "town/tower.md", "Water tower", 1, 2, "The water tower is 61 metres tall."),
)
SAID = "It was opened in 1902 【1†L1】. The tower is 61 metres tall. See [9]."
STEPS = (
    Step(1, ToolCall("search", {"query": "x"}, "{}"), "result", "Found.", "Look.", "I look.", 1.0),
    Step(2, ToolCall("python", None, "{oops"), "error", "KeyError: 'a'", note="arguments mended"),
    Step(2, ToolCall("python", {"code": "1\n2"}, "{}"), "refused", "no", plan="a\n  b"),
)
FRAME = FrameHead(("", "town", "a long name of a column"), (("0", "Oslo", "x" * 80),) * 3, (50, 2))
DREW = CodeRun("plot()", "45", (PNG, PNG), (FRAME,))
STEPS += (Step(3, ToolCall("python", {"code": "plot()"}, ""), "result", "45", code_run=DREW),)
METRICS = [
    StepMetrics(n, 20, 3 - n / 10, 1e-4, 1.0, 90.0, 10**9, 2.9 - n / 20, Drift(2.5, 0.4, n / 40))
    for n in range(1, 21)
]


def cited():
    citations = check(SAID, GIVEN)
    found = support(SAID, GIVEN, citations, "")
    return replace(FULL, final=SAID, passages=GIVEN, citations=citations, support=found)


def evaluated():
    scores = [ArmScore("sums", arm, 40, 40, 0.7, 0.5, 0.8, 0.2, 0.1, 50.0) for arm in PLAN.arms]
    against = ArmComparison("sums", "low", "base", 40, 3, 7, "McNemar", -0.1, -0.2, 0.0, 0.3, 0.6)
    shared = SharedText("sums", "i3", "row 4", "13 words")
    return Evaluated(PLAN, (ONE, OTHER), tuple(scores), (against,), (shared,))


def scores(seed):
    drawn = np.random.default_rng(seed).dirichlet(np.ones(8), 4)
    channels = {"all": drawn, "final": drawn[::-1]}
    about = {"title": "rows", "model": "built-in"}
    return Scores(channels, channels, {}, {"all": 900, "final": 300}, 12, 4, about)


def outputs():
    """Every kind of output, as its magic makes it."""
    run = Ending("sailor", [("rank", "8")], METRICS, 20, "finished", 65.0)
    served = [
        ServedRow("resp_1", "12:00:01", "responses", "base", "Hello?", "answering", 4, 9.0),
        ServedRow("resp_2", "12:00:02", "chat", "base", "Hi", "failed", 0, fault="cut off"),
        ServedRow("resp_3", "12:00:03", "chat", "base", "Hi", "completed", 9, transcript=FULL),
    ]
    parting = RoutingParting(3, 1, (1, 2), (2, 3), " two", False, 3, True)
    values = {"temperature": None, "adapters": {"verse": 1.0}, "effort": "low"}
    return {
        "answer": transcript_html(FULL),
        "cited": transcript_html(cited()),
        "tool run": transcript_html(replace(FULL, tool_calls=(), steps=STEPS)),
        "search": sources_html(GIVEN, query="When was the museum opened?"),
        "table": table_html(("adapter", "content", "from"), [("verse", 3, PATH)], "A caption."),
        "plan": memory_html("tuned: 40 rows", [("weights", 10**9), ("free", 10**10)], "about 4 s"),
        "example": example_html([("Say.", False), (" Aye.", True)]),
        "side by side": side_by_side_html(
            "Hi?", {"base": FULL, "verse": FULL}, {"base": {"a": "1"}}
        ),
        "run": ending_html(run),
        "routing": scores_html(scores(0)),
        "difference": comparison_html(RoutingComparison(scores(0), scores(1), "share")),
        "suite plan": plan_html(PLAN),
        "evaluation": evaluation_html(evaluated()),
        "flip": flip_html((ONE, OTHER), parting),
        "depth": depth_html(concluded(study())),
        "served": served_html("serving at http://127.0.0.1:1/v1", served),
        "replay": partings_html({"cell 3, from token 4 on": ("both ", "one", "other")}),
        "panel": panel_html(values, {"adapters": {"verse": 1.0}}, {"model": None}),
        "progress": progress_html("model", 0.4, "1 of 3 GB"),
    }


SHOW = """import json
from IPython.display import HTML, display
for html in json.load(open("outputs.json")).values():
    display({"text/html": html, "text/plain": ""}, raw=True)"""
LIVE = """%load_ext gptoss_magic
import time
from pathlib import Path
from gptoss_magic.records import Drift, StepMetrics
from gptoss_magic.tuning.control import Control
from gptoss_magic.widgets.progress import ProgressView
from gptoss_magic.widgets.transcript import open_view
from gptoss_magic.widgets.tuning import TuningPanel
%gptoss panel
facts = [("method", "experts"), ("rank", "8")]
with (
    open_view("built-in") as view,
    open_view("built-in") as reading,
    TuningPanel(Control(), "A run", 30, 2e-4, facts) as panel,
    ProgressView("model") as bar,
):
    reading.prefill(40, 100)
    for channel in ("analysis", "final", "functions.get_time", "result · get_time() · 0.1 s"):
        view.delta(channel, "Some **words**.\\n```python\\nx = 1\\n```\\nmore")
    for n in range(1, 21):
        drift = Drift(2.5, 0.4, n / 40)
        panel.step(StepMetrics(n, 30, 3 - n / 10, 1e-4, 1.0, 90.0, 10**9, 2.9 - n / 20, drift))
    time.sleep(1)
    view.flush()
    bar.update(10**9, 3 * 10**9)
    while not Path("done").exists():
        time.sleep(0.1)"""
OURS = ".jp-OutputArea-output"
OUTPUTS, WIDGETS = "every output", "every widget"
# JupyterLab's body has no height, and what it cuts off has no contrast for axe-core: it gets one,
# and the window is as high as all that is shown. Forced colours are the browser's: the page's own,
# which axe-core reads there, are not those that are seen. What Lab lays over all is no output.
TALL = "body { height: 100vh } #jupyterlab-splash, .Toastify { display: none }"
FOUND = """async ([where, isForced]) => {
  const rules = { "color-contrast": { enabled: !isForced } };
  const { violations, passes } = await axe.run({ include: [where] }, { rules });
  const isJudged = isForced || passes.some((rule) => rule.id === "color-contrast");
  return violations.flatMap((rule) => rule.nodes.map(
    (node) => `${rule.id} (${rule.impact}): ${node.html.slice(0, 160)} ` + node.any.concat(
      node.all, node.none).map((one) => one.message).join(" / ").slice(0, 160))).concat(
    isJudged ? [] : ["no text's contrast was judged"]);
}"""
HEIGHT = """(where) => Math.max(...[...document.querySelectorAll(where)].map(
  (node) => (node.closest(".jp-WindowedPanel-outer") ?? node).scrollHeight))"""
CUT = """(where) => [...document.querySelectorAll(where)].filter(
  (node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.innerHTML.slice(0, 160))"""
UNFOLD = """(open) => document.querySelectorAll(".jp-OutputArea-output details").forEach(
  (node) => (node.open = open))"""


FOLDS = """() => [...document.querySelectorAll(".jp-OutputArea-output details")].map(
  (node) => node.open)"""
FOLD = """(open) => document.querySelectorAll(".jp-OutputArea-output details").forEach(
  (node, index) => (node.open = open[index]))"""


def notebook(folder, name, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / name)


@pytest.fixture(scope="module")
def _closed(browser):
    """The pages of this module end with it."""
    yield
    for name in (OUTPUTS, WIDGETS):
        if lab := browser.kept.pop(name, None):
            (lab.folder / "done").touch()
            lab.close()


def with_outputs(browser):
    """A page of JupyterLab with every kind of output."""
    lab, made = plain(browser), outputs()
    (lab.folder / "outputs.json").write_text(json.dumps(made))
    notebook(lab.folder, "all.ipynb", SHOW)
    lab.open("all.ipynb")
    tool.start_all(lab.page)
    tool.wait_all(lab.page, 60)
    assert lab.page.locator(OURS).count() == len(made)
    return lab


def with_widgets(browser):
    """A page of JupyterLab with every widget while a cell runs."""
    lab = plain(browser)
    notebook(lab.folder, "live.ipynb", LIVE)
    lab.open("live.ipynb")
    tool.start_all(lab.page)
    lab.page.locator(".gptoss-panel").wait_for(timeout=60_000)
    lab.page.locator(".gptoss-progress").wait_for(timeout=30_000)
    lab.page.locator(".gptoss-live .gptoss-code").wait_for(timeout=30_000)
    lab.page.locator(".gptoss-tuning .gptoss-n-step").wait_for(timeout=30_000)
    return lab


@pytest.fixture
def shown(request, browser, _closed):
    """The page with every kind of output, folded as they come."""
    with shared(browser, OUTPUTS, partial(with_outputs, browser), request.session) as lab:
        were_open = lab.page.evaluate(FOLDS)
        yield lab.page
        lab.page.evaluate(FOLD, were_open)


@pytest.fixture
def live(request, browser, _closed):
    """The page with every widget."""
    with shared(browser, WIDGETS, partial(with_widgets, browser), request.session) as lab:
        yield lab.page


@contextmanager
def tall(page, axe, where, width=None):
    """A window in which nothing scrolls, and axe-core in it."""
    size, style = page.viewport_size, page.add_style_tag(content=TALL)
    page.evaluate(axe)
    page.set_viewport_size({"width": width or size["width"], "height": 900})
    page.wait_for_timeout(600)
    height = page.evaluate(HEIGHT, where) + 400
    page.set_viewport_size({"width": width or size["width"], "height": height})
    page.wait_for_timeout(600)
    yield
    style.evaluate("node => node.remove()")
    page.set_viewport_size(size)


def check_accessible(page, axe, where=OURS):
    """No finding, light and dark, and in forced colours."""
    with tall(page, axe, where):
        for theme in ("JupyterLab Light", "JupyterLab Dark"):
            tool.command(page, "apputils:change-theme", theme=theme)
            is_light = str(theme.endswith("Light")).lower()
            page.locator(f"body[data-jp-theme-light={is_light}]").wait_for(state="attached")
            page.wait_for_timeout(500)
            assert page.evaluate(FOUND, [where, False]) == [], theme
        page.emulate_media(forced_colors="active")
        assert page.evaluate(FOUND, [where, True]) == []
        page.emulate_media(forced_colors="none")


def check_narrow(page, axe, where=OURS):
    """Nothing is cut, and no finding, in a window of 320 pixels."""
    with tall(page, axe, where, 320):
        assert page.evaluate(CUT, where) == []
        assert page.evaluate(FOUND, [where, False]) == []


@pytest.mark.parametrize("is_open", [False, True], ids=["folded", "unfolded"])
def test_every_output_is_accessible(shown, axe, is_open):
    shown.evaluate(UNFOLD, is_open)
    check_accessible(shown, axe)


def test_a_narrow_window_cuts_no_output(shown, axe):
    shown.evaluate(UNFOLD, True)
    check_narrow(shown, axe)


def test_the_keyboard_unfolds_what_is_folded(shown):
    for summary in shown.locator(f"{OURS} summary").all()[:6]:
        before = summary.evaluate("node => node.parentElement.open")
        summary.focus()
        shown.keyboard.press("Enter")
        assert summary.evaluate("node => node.parentElement.open") != before
        assert summary.evaluate("node => document.activeElement === node")


def test_every_widget_is_accessible_while_it_runs(live, axe):
    check_accessible(live, axe)


def test_a_narrow_window_cuts_no_widget(live, axe):
    check_narrow(live, axe)


def test_the_panel_shows_all_words_of_an_empty_field(live):
    """A field's words and its arrows stand side by side."""
    fields = live.locator(".gptoss-panel input[placeholder]:not([placeholder=''])")
    assert fields.count() >= 3
    for field in fields.all():
        room = field.evaluate(ROOM)
        assert room >= 0, field.get_attribute("placeholder")


ROOM = """(field) => {
  const style = getComputedStyle(field);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = style.font;
  const arrows = field.type === "number" ? 18 : 0;
  const frame = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight) + arrows;
  return field.clientWidth - frame - pen.measureText(field.placeholder).width;
}"""
