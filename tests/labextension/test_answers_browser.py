"""Answers in a notebook that nobody trusts and that has no kernel: both front ends."""

import json
from contextlib import contextmanager
from functools import partial

import pytest

from tests.browser import UNTRUSTED
from tests.labextension.answers import DREW, FOREIGN, LONG, ODD, PNG, answer, output
from tests.labextension.front import CURRENT, MODEL, write
from tools import screenshots as tool

KERNEL = f"() => {CURRENT}.sessionContext.session?.kernel?.name ?? null"
PATH = f"() => {CURRENT}.context.path"
REVERT = f"async () => {{ await {CURRENT}.context.revert() }}"
ANOTHER = f"(name) => !({CURRENT}.context?.path ?? name).endsWith(name)"
CLOSE = f"() => {CURRENT}.dispose()"
SOURCES = f"() => [...{CURRENT}.content.model.cells].map(cell => cell.sharedModel.getSource())"


@pytest.fixture
def reader(front, browser):
    """A page with answers as they are in the file; requests that leave the server are noted."""
    page = browser.keep(f"reader {front.app}", partial(opened, front))
    page.bring_to_front()
    page.evaluate(REVERT)
    return page


def opened(front):
    page = front.page.context.new_page()
    page.outside = []
    page.on("request", lambda request: _note(page, front.url, request.url))
    made = [answer(), FOREIGN, LONG, *ODD, DREW]
    cells = [(f"%%gptoss -o said{n}\nAsk", [output(one)]) for n, one in enumerate(made)]
    write(front.folder / "it's read.ipynb", *cells, kernel="nosuchkernel")
    front.open("it's read.ipynb", page)
    page.locator(".jp-Dialog").get_by_role("button", name="No Kernel").click()
    return page


def _note(page, own, url):
    if not url.startswith((own, "data:", "blob:")):
        page.outside.append(url)


def view(page, number):
    return page.locator(".jp-Cell").nth(number).locator(".gptoss-lab-answer")


def test_untrusted_and_without_a_kernel_an_answer_is_text_and_nothing_runs(front, reader):
    assert reader.evaluate(KERNEL) is None
    reader.wait_for_function(UNTRUSTED, timeout=10_000)
    shown = view(reader, 0)
    shown.wait_for()
    assert "the HTML instead" not in reader.locator(".jp-NotebookPanel").inner_text()
    for name in ("h3:has-text('Title')", "strong:has-text('Paris')", "td:has-text('2')", "li code"):
        assert shown.locator(name).count() == 1
    for node in shown.locator("details").all():
        node.evaluate("node => { node.open = true }")
    text = shown.inner_text()
    assert text.count("<script>") == 5  # reasoning, result, final, passage, token: as they came
    assert shown.locator("script, img, iframe, style").count() == 0
    assert [link.get_attribute("href") for link in shown.locator(".gptoss-lab-prose a").all()] == [
        "#",
        None,
        "https://example.invalid/track.png",
        "https://example.org",
    ]
    assert "owned" not in reader.title()
    assert reader.outside == []
    assert "34 completion tokens" in text
    assert "weather · 1.5 s · error" in text


def test_citations_lead_to_their_passage_and_invented_ones_are_marked(front, reader):
    shown = view(reader, 0)
    right, wrong = shown.locator(".gptoss-lab-cite").all()
    assert [right.inner_text(), wrong.inner_text()] == ["[1]", "[7]"]
    assert "gptoss-lab-mod-wrong" in wrong.get_attribute("class")
    passage = shown.locator(".gptoss-lab-source")
    passage.evaluate("node => { node.open = false }")
    right.click()
    assert passage.evaluate("node => node.open")
    assert "docs/france.md, lines 3–5" in passage.inner_text()


def test_tokens_are_shaded_where_log_probabilities_are_known(front, reader):
    shown = view(reader, 0)
    shown.get_by_text("Tokens · 6").evaluate("node => { node.parentElement.open = true }")
    tokens = shown.locator(".gptoss-lab-token")
    titles = [token.get_attribute("title") for token in tokens.all()]
    assert titles[:3] == [
        "token 0 · analysis",
        "token 1 · analysis",
        "token 2 · final · 99.0 % · -0.010 nats",
    ]
    doubt = "node => node.style.getPropertyValue('--gptoss-lab-doubt')"
    assert [token.evaluate(doubt) for token in tokens.all()] == [
        "",
        "",
        "0.002",
        "0.840",
        "0.100",
        "",
    ]


def test_ten_thousand_tokens_are_drawn_when_they_are_asked_for(front, reader):
    shown = view(reader, 2)
    assert shown.locator(".gptoss-lab-token").count() == 0
    shown.get_by_text("Tokens · 10,000").evaluate("node => { node.parentElement.open = true }")
    shown.locator(".gptoss-lab-token").last.wait_for(state="attached")
    assert shown.locator(".gptoss-lab-token").count() == 10_000


def test_odd_json_is_one_clear_line_and_foreign_json_is_read(front, reader):
    assert "Still an answer." in view(reader, 1).inner_text()
    lines = [view(reader, 3 + number).inner_text() for number in range(len(ODD))]
    assert lines == [
        "This output holds a string, no gpt-oss answer: run its cell again.",
        "This output holds a list, no gpt-oss answer: run its cell again.",
        "This output has no gpt-oss answer in it: run its cell again.",
        "This answer has the format 9, and this extension reads format 1: update gptoss_magic.",
        "This output has no gpt-oss answer in it: run its cell again.",
    ]


def test_pictures_and_rows_of_code_are_shown_and_nothing_else_is_a_picture(front, reader):
    shown = view(reader, 3 + len(ODD))
    shown.locator(".gptoss-lab-step details").last.evaluate("node => { node.open = true }")
    (picture,) = shown.locator("img").all()
    assert picture.get_attribute("src") == f"data:image/png;base64,{PNG}"
    assert picture.get_attribute("alt") == "Figure 1 of 1, drawn by the code of this call"
    picture.evaluate("image => image.decode()")  # raises where it is none
    frame = shown.locator(".gptoss-lab-frame").first
    assert frame.locator("th").first.inner_text() == "town"
    assert "<script>" in frame.locator("td").nth(2).inner_text()
    assert "50 rows × 2 columns" in shown.inner_text()
    assert shown.locator("script, iframe, style").count() == 0
    assert "owned" not in reader.title()
    assert reader.outside == []


def test_replay_and_edit_write_a_cell_below_and_run_nothing(front, reader):
    before = reader.evaluate(SOURCES)
    view(reader, 0).get_by_role("button", name="Replay").click()
    view(reader, 0).get_by_role("button", name="Edit the reasoning").click()
    assert reader.evaluate(MODEL, 2) == """%gptoss replay 'it'"'"'s read.ipynb' --cell 1"""
    edit = reader.evaluate(MODEL, 1)
    assert edit.startswith("%%gptoss --edit --of said0 --raw\nIt's easy.\n")
    assert len(reader.evaluate(SOURCES)) == len(before) + 2
    for number in (1, 2):
        assert reader.locator(".jp-Cell").nth(number).locator(".jp-OutputArea-output").count() == 0


@contextmanager
def new_notebook(front):
    """A page with what the launcher's card opens, and in Notebook 7 the command behind it."""
    if front.app == "lab":
        page = front.page
        tool.command(page, "launcher:create")
        page.locator(".jp-LauncherCard", has_text="gpt-oss notebook").click()
        page.wait_for_function(ANOTHER, arg="live.ipynb", timeout=60_000)
    else:
        with front.page.context.expect_page() as opened:
            front.page.evaluate("() => { jupyterapp.commands.execute('gptoss:new-notebook') }")
        page = opened.value
    try:
        yield page
    finally:
        if front.app == "lab":
            page.evaluate(CLOSE)
        else:
            page.close()


def test_the_launcher_card_makes_a_notebook_with_the_first_cells(front):
    with new_notebook(front) as page:
        shown = page.locator(".jp-NotebookPanel:visible")
        shown.locator(".gptoss-lab-cell-prompt").wait_for(timeout=60_000)
        assert "%gptoss load" in shown.inner_text()
        made = front.folder.parent / page.evaluate(PATH)  # of the server's root, not of this folder
        sources = [cell["source"] for cell in json.loads(made.read_text())["cells"]]
        assert len(sources) == 4
