"""An answer that looked things up, in a real JupyterLab: while it streams, when it is over, in the
dark, and reopened without a kernel."""

import nbformat

from gptoss_magic.testing import tiny_checkpoint
from tools import screenshots as tool

MOON = "# The Moon\n\nThe Moon orbits the Earth in 27.3 days.\n\nIt has no air.\n"
READY = """\
%load_ext gptoss_magic
%gptoss load tiny --context 8192
%gptoss tools allow browser:./docs
import json, time
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
final = "The Moon orbits the Earth in 27.3 days 【1†L4】. "
final += "On Mars live two million green people 【1†L6】. So they say 【1†L99】."
seen = []
def last(prompt):
    seen.append(prompt)
    return saying(final)
script = scripted(
    current(),
    calling("browser.search", json.dumps({"query": "moon"}), "I look it up."),
    calling("browser.open", json.dumps({"id": 0})),
    last,
)
engine = script.__enter__()"""
ASK = "%%gptoss -n -o answer --tool browser:./docs\nHow long is a month?"
RED = "el => getComputedStyle(el).color.match(/\\d+/g).map(Number)"


def notebook(folder):
    (folder / "docs").mkdir()
    (folder / "docs" / "moon.md").write_text(MOON)
    tiny_checkpoint(folder / "tiny", max_position_embeddings=8192)
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (READY, ASK)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(made, folder / "looked.ipynb")


def check(page, *, is_trusted=True):
    """The first citation is plain, the second red, the third of no line; they unfold.

    JupyterLab takes the colours out of what it does not trust: words say it there.
    """
    final = page.locator(".gptoss-final")
    final.wait_for(timeout=60_000)
    borne, doubted = final.locator("details.gptoss-cite").all()
    assert borne.locator("summary").inner_text() == "[1 · line 4]"
    assert doubted.locator("summary").inner_text() == "[1 · line 6] (?)"
    assert "【1†L99】 (not a source)" in final.inner_text()
    if is_trusted:
        red, green, blue = doubted.locator("summary").evaluate(RED)[:3]
        assert red > green + 60
        assert red > blue + 60
        plain = borne.locator("summary").evaluate(RED)[:3]
        assert plain[0] < plain[2]
    for one in (borne, doubted):
        one.locator("summary").click()
        assert one.locator("div").is_visible()
    assert "The Moon orbits the Earth in 27.3 days." in borne.locator("strong").all_inner_texts()
    assert "words stand in these lines" in doubted.locator("div").inner_text()
    return final


def test_citations_of_pages_unfold_in_lab(plain_lab, tmp_path):
    folder, page = plain_lab.folder, plain_lab.page
    notebook(folder)
    plain_lab.open("looked.ipynb")
    tool.start_all(page)
    tool.wait_all(page, 180)
    final = check(page)
    tool.take(final, tmp_path / "light.png")
    tool.command(page, "docmanager:save")
    tool.command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.wait_for_timeout(300)
    tool.take(final, tmp_path / "dark.png")
    tool.command(page, "apputils:change-theme", theme="JupyterLab Light")
    plain_lab.open_foreign("looked.ipynb")
    check(page, is_trusted=False)
