"""Pages in Chromium with the network off: no request, no console error, nothing that acts, and
axe-core finds nothing serious, in both themes, folded and unfolded, narrow and in print."""

import json
import re
from contextlib import contextmanager
from functools import partial

import pytest

from gptoss_magic.sharing.page import page
from gptoss_magic.sharing.page_records import notebook_of_page
from gptoss_magic.sharing.pages.allowlist import ALLOWED
from gptoss_magic.sharing.records import records_of
from gptoss_magic.testing import tiny_checkpoint
from tests.page_cases import HOSTILE, PNG, answer, code, markdown, notebook, shown, stream

THEMES = ("light", "dark")
START = """%load_ext gptoss_magic
%gptoss load {path}
%config GptOssMagics.date = "2025-08-05"
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current"""
PROMPT = """with scripted(current(), saying("The mass is $m = E/c^2$. `x`", "Think: a < b.")):
    get_ipython().run_cell_magic("gptoss", "-n -o a", "What is **mass**? {{ 1 + 1 }}")"""


def offline(browser):
    """A page without network, and all that it asks for and complains of."""
    tab, heard = browser.start().new_context(offline=True).new_page(), []
    tab.on("console", lambda message: heard.append(message.text))
    tab.on("pageerror", lambda error: heard.append(str(error)))
    tab.on("dialog", lambda dialog: heard.append(dialog.message))
    tab.on("request", lambda request: heard.append(request.url))
    return tab, heard


@contextmanager
def opened(browser, path, theme="light", width=1100):
    """The page of a file, without network; afterwards: no request, no complaint."""
    tab, heard = browser.keep("offline", partial(offline, browser))
    heard.clear()
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(media="screen", color_scheme=theme)
    tab.goto(path.as_uri())
    try:
        yield tab
    finally:
        tab.goto("about:blank")
    assert [line for line in heard if not line.startswith("data:")] == [path.as_uri()]


def made(folder, *cells, name="one.ipynb"):
    path = folder / name
    path.write_text(json.dumps(notebook(*cells)))
    return page(path, force=True).path


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The page of a notebook that a real kernel ran."""
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("executed")
    start = START.format(path=tiny_checkpoint(folder / "tiny"))
    sources = (start, PROMPT, "1 / 0", "%gptoss status")
    cells = [nbformat.v4.new_markdown_cell("# A run\n\nFormula: $x^2$")]
    cells += map(nbformat.v4.new_code_cell, sources)
    made = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(made, timeout=120, allow_errors=True, store_widget_state=False).execute()
    nbformat.write(made, folder / "run.ipynb")
    return page(folder / "run.ipynb")


COLOURS = "\x1b[31mred\x1b[0m \x1b[38;5;226mpale\x1b[0m \x1b[7mturned\x1b[43mon\x1b[0m"
DRAWING = (
    "<svg width='9' height='9'><style>rect{fill:red}</style><rect width='9' height='9'/>"
    "<script>hit=1</script></svg>"
)
PIECES = (
    "<p style='color:#bbb'>pale <font color=yellow>yellow</font></p>",
    "<table bgcolor=navy border=1><tr><th><td>navy<td style='background:white'>white</table>",
    "<style>td{color:#888} .q{background:#eee}</style><table><tr><td>1<td class=q>2</table>",
    "<div style='width:3000px'>wide</div><table><tr>" + "<td>wide cell" * 60 + "</table>",
    "<video src='data:video/mp4;base64,AAAA'></video><audio src='data:audio/wav;base64,AA'>",
    "<input type=checkbox id=c><label for=c>more</label><details><summary>s</summary>t</details>",
    "<li>lone</li><dt>lone</dt><h6>deep</h6><h1></h1><a href='https://x.test'></a><img src=x>",
)
ODD = [
    markdown("# Заголовок $a^2$\n\n#### Skipped\n\n| a | b |\n|--|--|\n| 1 | $x$ |\n\n- [x] done"),
    markdown("$$\\begin{aligned}a&=b\\\\c&=d\\end{aligned}$$\n\n```python\ndef f(): pass # x\n```"),
    code("%%gptoss -e low\nDon't {{ say }} it.", answer()),
    code("x", stream(COLOURS), stream("long\n" * 300, "stderr")),
    code("x", {"output_type": "error", "traceback": [COLOURS, "\x1b[38;2;9;9;9mdark\x1b[0m"]}),
    code("x", shown({"image/png": PNG}), shown({"image/svg+xml": DRAWING})),
    code("x", *(shown({"text/html": html, "text/plain": "twin"}) for html in PIECES)),
]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """The page of outputs of many kinds."""
    return made(tmp_path_factory.mktemp("odd"), *ODD)


def check_accessible(tab, axe):
    """No finding of axe-core, folded and unfolded."""
    tab.evaluate(axe)
    for is_open in (False, True):
        tab.evaluate(f"document.querySelectorAll('details').forEach(d => d.open = {is_open:d})")
        found = tab.evaluate("axe.run()")["violations"]
        assert [(one["impact"], one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


@pytest.mark.parametrize("theme", THEMES)
def test_everyone_can_read_an_executed_notebook(browser, executed, axe, theme):
    with opened(browser, executed.path, theme) as tab:
        assert tab.locator("h1").inner_text() == "A run"
        assert tab.locator(".gptoss-final math").count() == 1
        assert tab.locator(".gptoss-analysis p").is_hidden()
        tab.get_by_text("Reasoning").first.click()
        assert tab.locator(".gptoss-analysis p").is_visible()
        assert "ZeroDivisionError" in tab.locator(".gp-error").inner_text()
        assert tab.locator("script:not([type='application/json'])").count() == 0
        check_accessible(tab, axe)


def test_an_executed_notebooks_tokens_are_in_its_page(executed):
    (found,) = records_of(notebook_of_page(executed.path.read_text("utf-8")))
    assert (found.cell, found.fault, executed.num_records) == (3, "", 1)
    assert found.calls[0].answer_ids


@pytest.mark.parametrize("theme", THEMES)
def test_everyone_can_read_odd_outputs(browser, odd, axe, theme):
    with opened(browser, odd, theme) as tab:
        check_accessible(tab, axe)


def test_a_narrow_window_needs_no_sideways_scrolling(browser, odd):
    with opened(browser, odd, width=360) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_themes_differ_and_print_is_light_and_unfolded(browser, executed):
    grounds = []
    for theme in THEMES:
        with opened(browser, executed.path, theme) as tab:
            grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            tab.emulate_media(media="print", color_scheme=theme)
            printed = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert printed == "rgb(255, 255, 255)"
            assert tab.locator(".gptoss-analysis p").bounding_box()["height"] > 0
    assert grounds == ["rgb(255, 255, 255)", "rgb(22, 24, 29)"]


def test_maths_and_vector_drawings_are_shown(browser, odd):
    with opened(browser, odd) as tab:
        rows = tab.locator("mtr").all()
        tops = [row.bounding_box()["y"] for row in rows]
        assert len(rows) == 2
        assert tops[1] > tops[0]
        for image in tab.locator("img").all():
            assert image.evaluate("node => node.complete && node.naturalWidth > 0")


INSIDE = """() => [...document.querySelectorAll('main *')].map(node => [
    node.localName, [...node.attributes].map(a => [a.name, a.value])])"""


def test_no_hostile_output_acts_or_leaves_its_place(browser, tmp_path):
    outputs = {name: shown({"text/html": html}) for name, html in HOSTILE.items()}
    cells = [code(name, output) for name, output in outputs.items()]
    cells += [markdown(html) for html in HOSTILE.values()]
    path = made(tmp_path, *cells, markdown("The end"))
    with opened(browser, path) as tab:
        assert tab.evaluate("typeof hit") == "undefined"
        for name, attributes in tab.evaluate(INSIDE):
            assert name.lower() in ALLOWED
            for key, value in attributes:
                assert not re.match("on|style$|srcset$|ping$|target$|poster$", key), (name, key)
                if key == "src":
                    assert value.startswith("data:"), value
                if key == "href":
                    assert re.match(r"#|https?://(x\.test|evil\.test)|[xz]$", value), value
        assert tab.locator("main").count() == 1
        assert tab.evaluate("document.body.lastElementChild.localName") == "script"
        number = len(cells)
        assert tab.locator(f"main > #cell-{number}").inner_text().strip() == "The end"
        for index in range(len(HOSTILE)):  # each stays in its cell, and covers nothing else
            assert tab.locator(f"main > #cell-{index}").count() == 1
        assert tab.locator("#o14-0 p").evaluate("n => getComputedStyle(n).position") == "static"
        for link in tab.locator("main a[href]").all()[:3]:
            assert "javascript" not in link.get_attribute("href")
