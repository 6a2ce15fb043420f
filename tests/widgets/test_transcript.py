"""The displays of an answer: in a terminal shell, in real kernels, and as exported HTML."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from gptoss_magic.records import ToolCall, Transcript, Usage
from gptoss_magic.widgets.code_blocks import MAX_HIGHLIGHTED_CHARS, code_html
from gptoss_magic.widgets.plain_view import PlainView, SilentView
from gptoss_magic.widgets.progress import ProgressView, bytes_text
from gptoss_magic.widgets.static_html import (
    markdown_html,
    meta_line,
    reasoning_label,
    transcript_html,
    transcript_text,
)
from gptoss_magic.widgets.transcript import Blocks, open_view

USAGE = Usage(120, 51, 34, 0.25, 2.1, 5.25)
FULL = Transcript(
    analysis="Think first.\nThen, more.\n\nDone <b>.",
    final="The **answer** is $x_1 < y_2$.\n\n```python\nprint('hi')  # say\n```\n",
    commentary="Looking it up.",
    tool_calls=(
        ToolCall("functions.get_time", {"zone": "UTC"}, '{"zone":"UTC"}'),
        ToolCall("functions.bad", None, "{oops"),
    ),
    usage=USAGE,
    finish="return",
    model="built-in",
    note="Seed 3 was drawn.",
)
STREAM = """
import time
from gptoss_magic.records import Transcript
from gptoss_magic.widgets.transcript import open_view
with open_view('built-in') as view:
    for i in range({count}):
        view.delta('analysis' if i < {count} // 2 else 'final', f't{{i}} ')
        time.sleep({pause})
    {end}
"""
FINISH = """view.finish(
        Transcript(analysis='I think', final='I say **so**', finish='return', model='built-in'),
        metadata={'gptoss': {'seed': 3}})"""


class Tags(HTMLParser):
    """Every tag and attribute, to see what a browser would act on."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client, code):
    """Run one cell; every message that a front end would get."""
    messages = []
    client.execute_interactive(code, timeout=60, output_hook=messages.append)
    return messages


def of_type(messages, kind):
    return [message["content"] for message in messages if message["msg_type"] == kind]


def test_html_shows_every_part():
    html = transcript_html(FULL)
    assert "<details" in html
    assert "<details open" not in html
    assert "Reasoning · 34 tokens · 2.1 s" in html
    assert 'Think first.<br>Then, more.</p><p dir="auto">Done &lt;b&gt;.</p>' in html
    assert "<strong>answer</strong>" in html
    assert "Looking it up." in html
    assert "Seed 3 was drawn." in html
    assert "functions.bad({oops)" in re.sub("<[^>]+>", "", html)
    assert '"zone": "UTC"' in re.sub("<[^>]+>", "", html).replace("&quot;", '"')
    assert meta_line(FULL) in html


def test_meta_line_words():
    assert meta_line(FULL) == (
        "built-in · 120 prompt tokens · 51 completion tokens · first token 0.25 s"
        " · 10.0 tokens/s · finished"
    )
    assert meta_line(Transcript(finish="length")) == "cut at the token limit"
    assert meta_line(Transcript()) == ""
    assert meta_line(Transcript(finish="return", repairs=("a", "b"))) == (
        "finished · 2 repairs of the headers"
    )
    cached = Usage(9, 1, 0, 0.1, 0.0, 0.1, cached_tokens=4)
    assert "9 prompt tokens (4 cached) · 1 completion token ·" in meta_line(
        Transcript(usage=cached, finish="stop")
    )


def test_text_has_the_same_order():
    text = transcript_text(FULL)
    marks = ["Reasoning", "  Think", "Looking", "The **answer**", "get_time(", "Note:", "[built-in"]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert transcript_text(Transcript()) == ""


def test_reasoning_without_counts_is_given_in_words():
    assert reasoning_label(Transcript(analysis="one two")) == "Reasoning · 2 words"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "[go](javascript:alert(1))",
        "[go](data:text/html,<script>alert(1)</script>)",
        "[go](JaVaScRiPt:alert(1)) [x](vbscript:x) [f](file:///etc/passwd)",
        "![x](javascript:alert(1))",
        "![x](https://example.org/a.png)",
        "<javascript:alert(1)>",
        '```"><script>alert(1)</script>\nx\n```',
        "```html\n<script>alert(1)</script>\n```",
        "$<script>alert(1)</script>$",
        "$$\n<img onerror=alert(1)>\n$$",
        '[a](https://x.org "t\\" onmouseover=\\"alert(1)")',
    ],
)
def test_model_text_is_never_markup(text):
    call = ToolCall(text, None, text)
    t = Transcript(text, text, text, (call,), None, text, text, text)
    page = Tags(transcript_html(t))
    assert not {"script", "img", "iframe", "object", "svg"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    links = [value or "" for name, value in page.attributes if name in {"href", "src"}]
    assert all(link.startswith("https://") for link in links)


def test_web_links_stay_and_images_become_links():
    html = markdown_html("[a](https://x.org) [m](mailto:a@x.org) ![pic](http://x.org/p.png)")
    assert 'href="https://x.org"' in html
    assert 'href="mailto:a@x.org"' in html
    assert '<a href="http://x.org/p.png" rel="noopener noreferrer" target="_blank">pic</a>' in html


@pytest.mark.parametrize(
    "maths",
    [
        "$a_1 * b_2 * c_1$",
        "$$a_1 * b_2 * c$$",
        r"\(a_1 \\ b_{*}\)",
        r"\[ \frac{a_1}{b_2} \]",
        "$$\na_1\n= b_2\n- c\n\n+ d\n$$",
        "\\[\n\\begin{matrix} a & b \\\\ c & d \\end{matrix}\n\\]",
        r"$\{x_1\}$",
    ],
)
def test_maths_survives(maths):
    html = markdown_html(f"Before\n{maths}\nafter *that*")
    assert maths.replace("&", "&amp;") in html
    assert "<em>that</em>" in html


def test_money_and_code_are_not_maths():
    assert "<code>$a_1$</code>" in markdown_html("`$a_1$`")
    assert "<em>b</em>" in markdown_html("$5 *b* and 6 dollars")
    assert "<em>b</em>" in markdown_html("It costs $5 and *b* costs $6")


def test_unfinished_maths_and_fences_render():
    assert "$$ x" in markdown_html("$$ x")
    assert "<pre" in markdown_html("```python\nx = 1")


def test_code_is_highlighted_by_theme_variables():
    html = code_html("def f():\n    return 'x'", "python")
    assert "var(--jp-mirror-editor-keyword-color, " in html
    plain = code_html("\n  <a>\n", "no-such-language")
    assert "\n  &lt;a&gt;\n</code>" in plain
    assert "<span" not in code_html("x = 1\n" * MAX_HIGHLIGHTED_CHARS, "python")


def test_blocks_send_each_character_once():
    blocks = Blocks()
    assert blocks.fresh() == []
    blocks.add("analysis", "a😀")
    assert blocks.fresh() == [{"i": 0, "c": "analysis", "o": 0, "t": "a😀"}]
    blocks.add("analysis", "b")
    blocks.add("final", "c")
    assert blocks.fresh() == [
        {"i": 0, "c": "analysis", "o": 3, "t": "b"},
        {"i": 1, "c": "final", "o": 0, "t": "c"},
    ]
    assert blocks.fresh() == []
    assert [part["t"] for part in blocks.whole()] == ["a😀b", "c"]


def test_a_terminal_shell_gets_text(capsys):
    # A fresh interpreter: the shell must not become this process's `get_ipython()`.
    code = STREAM.format(count=4, pause=0, end=FINISH)
    script = (
        "from IPython.testing.globalipapp import start_ipython\n"
        f"shell = start_ipython()\nshell.run_cell({code!r}).raise_error()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "[analysis]\nt0 t1 \n\n[final]\nt2 t3 \n\n[built-in · finished]\n" in done.stdout


def test_plain_view_shows_a_final_that_was_not_streamed(capsys):
    with PlainView() as view:
        view.finish(FULL)
    assert "The **answer**" in capsys.readouterr().out


def test_quiet_shows_nothing(capsys):
    with open_view(quiet=True) as view:
        view.delta("final", "x")
        view.finish(FULL)
    assert isinstance(view, SilentView)
    assert capsys.readouterr().out == ""


def test_kernel_stream_is_few_small_messages(kernel):
    messages = run(kernel, STREAM.format(count=1000, pause=0.001, end=FINISH))
    sent = of_type(messages, "comm_msg")
    deltas = [m["data"]["content"] for m in sent if m["data"]["method"] == "custom"]
    assert 10 <= len(deltas) <= 60
    assert len(sent) <= 70
    text = "".join(part["t"] for delta in deltas for part in delta["parts"])
    assert "".join(f"t{i} " for i in range(1000)).startswith(text)
    assert len(text.split()) > 900
    assert len(of_type(messages, "comm_close")) >= 1


def test_kernel_output_ends_static(kernel):
    messages = run(kernel, STREAM.format(count=4, pause=0, end=FINISH))
    last = of_type(messages, "update_display_data")[-1]
    assert set(last["data"]) == {"text/html", "text/plain"}
    assert last["metadata"] == {"gptoss": {"seed": 3}}
    first = of_type(messages, "display_data")[0]
    assert first["transient"] == last["transient"]


@pytest.mark.parametrize(("error", "words"), [
    ("ValueError('no')", "Ended by ValueError: no"),
    ("KeyboardInterrupt", "interrupted"),
])  # fmt: skip
def test_kernel_output_ends_static_after_an_error(kernel, error, words):
    messages = run(kernel, STREAM.format(count=4, pause=0, end=f"raise {error}"))
    last = of_type(messages, "update_display_data")[-1]["data"]
    assert "widget-view" not in str(last)
    assert "t2 t3" in last["text/html"]
    assert words in last["text/plain"]
    assert of_type(messages, "comm_close")
    assert of_type(messages, "error")


def test_an_error_before_the_first_token_leaves_nothing_but_itself(kernel):
    messages = run(kernel, STREAM.format(count=0, pause=0, end="raise ValueError('no')"))
    kinds = {message["msg_type"] for message in messages}
    assert kinds == {"status", "execute_input", "error"}


def test_ready_is_answered_with_everything(kernel):
    code = STREAM.format(count=4, pause=0, end="w = view._widget; w._handle_custom_msg"
                         "({'op': 'ready'}, []); w._handle_custom_msg('junk', [])")  # fmt: skip
    sent = [m["data"] for m in of_type(run(kernel, code), "comm_msg")]
    custom = [data["content"]["parts"] for data in sent if data["method"] == "custom"]
    assert [part["t"] for part in custom[-1]] == ["t0 t1 ", "t2 t3 "]


def test_snapshots_are_kept_in_the_state(kernel):
    messages = run(kernel, STREAM.format(count=16, pause=0.1, end=FINISH))
    states = [m["data"]["state"] for m in of_type(messages, "comm_msg") if "state" in m["data"]]
    snapshots = [state["snapshot"] for state in states if "snapshot" in state]
    assert 2 <= len(snapshots) <= 4
    assert snapshots[0]["parts"][0]["t"].startswith("t0 t1 ")


def test_notebook_and_export_hold_the_answer():
    notebook = nbformat.v4.new_notebook()
    code = STREAM.format(count=20, pause=0.01, end=FINISH)
    notebook.cells = [nbformat.v4.new_code_cell(code)]
    NotebookClient(notebook, timeout=60, store_widget_state=False).execute()
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert output.metadata == {"gptoss": {"seed": 3}}
    html, _ = HTMLExporter().from_notebook_node(notebook)
    assert "<details" in html
    assert "I think" in html
    assert "I say <strong>so</strong>" in html


def test_progress_in_a_kernel_is_throttled(kernel):
    code = """
from gptoss_magic.widgets.progress import ProgressView
import time
with ProgressView('Loading <x>') as p:
    for i in range(300):
        p.update(i * 10**7, 3 * 10**9, 'shard 1')
        time.sleep(.001)
    p.finish('Loaded in 1 s')
"""
    messages = run(kernel, code)
    updates = of_type(messages, "update_display_data")
    assert 3 <= len(updates) <= 12
    assert "Loading &lt;x&gt;" in updates[0]["data"]["text/html"]
    assert updates[-1]["data"]["text/plain"] == "Loaded in 1 s"


@pytest.mark.parametrize(
    ("work", "left"),
    [
        ("raise ValueError('x')", ""),
        ("p.update(1, 3); raise ValueError('x')", r"Rows: ended by ValueError after \d\.\d s"),
        ("raise KeyboardInterrupt", r"Rows: ended by KeyboardInterrupt after \d\.\d s"),
    ],
)
def test_a_bar_that_never_moved_leaves_nothing_beside_its_error(kernel, work, left):
    code = f"""
from gptoss_magic.widgets.progress import ProgressView
with ProgressView('Rows') as p:
    {work}
"""
    messages = run(kernel, code)
    shown = of_type(messages, "update_display_data")[-1]["data"]
    assert re.fullmatch(left, shown["text/plain"])
    assert bool(shown.get("text/html")) == bool(left)


def test_progress_in_a_terminal_is_one_line(capsys):
    with ProgressView("Loading") as progress:
        progress.update(1, 2)
    assert re.fullmatch(r"Loading: done after \d+\.\d s\n", capsys.readouterr().out)
    with pytest.raises(ValueError, match="x"), ProgressView("Loading"):
        raise ValueError("x")
    assert capsys.readouterr().out == ""  # the error has a line of its own


def test_bytes_text():
    assert bytes_text(3_100_000_000, 13_800_000_000) == "3.1 of 13.8 GB"
    assert bytes_text(5_000_000, 0) == "5.0 MB"
