"""Citations in a real JupyterLab: they unfold, their links open the file at the place, and reopened
without trust and without a kernel they unfold all the same."""

import nbformat

from tests.retrieval.test_retrieval_pages import pdf_bytes
from tools import screenshots as tool

SHOWN = """from pathlib import Path
from IPython.display import display
from gptoss_magic.records import Passage, Transcript
from gptoss_magic.retrieval.cite import check
from gptoss_magic.retrieval.support import support
from gptoss_magic.widgets.static_html import transcript_html, transcript_text

text = "    return 'woof'\\n    # <b>loud</b>"
passage = Passage(1, "pets", str(Path("long.py").resolve()), "", 40, 41, text)
paper = Passage(2, "pets", str(Path("cats.pdf").resolve()), "page 3", 6, 6, "Cats purr")
final = "A dog barks woof 【1†L40】. It returns woof. Cats purr 【2】. See [9]."
given = (passage, paper)
citations = check(final, given)
found = support(final, given, citations, "")
t = Transcript(final=final, passages=given, citations=citations, support=found)
display({"text/html": transcript_html(t), "text/plain": transcript_text(t)}, raw=True)"""


def check_citations(page):
    """A citation unfolds where it stands; an invented one is named."""
    final = page.locator(".gptoss-final")
    final.wait_for(timeout=30_000)
    cited, found, paper = final.locator("details").all()
    assert cited.locator("summary").inner_text() == "[1 · line 40]"
    assert found.locator("summary").inner_text() == "(found: 1 · line 40)"
    assert cited.locator("div").is_hidden()
    before = cited.locator("summary").bounding_box()
    after = found.locator("summary").bounding_box()
    assert abs(before["y"] - after["y"]) < 5  # folded ones do not break the line
    cited.locator("summary").click()
    assert cited.locator("div").is_visible()
    assert "# <b>loud</b>" in cited.locator("div").inner_text()
    assert "[9] (not a source)" in final.inner_text()
    return cited, paper


def check_page(page, link, number):
    """A click opens a PDF in the browser's own viewer, at a page."""
    from playwright.sync_api import expect

    with page.expect_event("framenavigated", is_viewer, timeout=30_000) as opened:
        link.click()
    expect(opened.value.locator("#pageSelector")).to_have_value(number, timeout=30_000)


def is_viewer(frame):
    return frame.url.startswith("chrome-extension://")


def test_a_citation_opens_its_passage_and_its_file(plain_lab):
    folder, page = plain_lab.folder, plain_lab.page
    (folder / "long.py").write_text("\n".join(f"# line {n}" for n in range(1, 80)))
    (folder / "cats.pdf").write_bytes(pdf_bytes("First", "Second", "Cats purr"))
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(SHOWN)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, folder / "cited.ipynb")
    plain_lab.open("cited.ipynb")
    tool.start_all(page)
    tool.wait_all(page, 120)
    cited, paper = check_citations(page)
    tool.command(page, "docmanager:save")
    paper.locator("summary").click()
    check_page(page, paper.locator("a"), "3")
    tool.command(page, "application:close")
    cited.locator("a").click()
    page.get_by_text("Ln 40, Col 1").wait_for(timeout=30_000)
    plain_lab.open_foreign("cited.ipynb")
    check_citations(page)
