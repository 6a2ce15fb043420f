"""Files to documents to chunks: what is read, what is left out and named, where chunks lie."""

import json
import os
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.chunks import chunks, heading_path
from gptoss_magic.retrieval.loaders import Document, frame, read
from gptoss_magic.retrieval.walk import Found, Skipped, check, walk
from gptoss_magic.textfiles import Unreadable


def walked(argument, **options):
    """(names of files, {name: why it was skipped})."""
    items = list(walk(str(argument), **options))
    skipped = {Path(i.path).name: i.why for i in items if isinstance(i, Skipped)}
    return [item.path.name for item in items if isinstance(item, Found)], skipped


def text_of(data):
    return read(Path("a.txt"), "a.txt", data).text


def document(path, text):
    path.write_text(text)
    return read(path, str(path), path.read_bytes())


def test_a_folder_in_order_and_what_is_left_out(tmp_path):
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "large.txt").write_text("x" * 2000)
    (tmp_path / ".env").write_text("PASSWORD=1")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("c")
    os.mkfifo(tmp_path / "pipe")
    files, skipped = walked(tmp_path, max_bytes=1000)
    assert files == ["a.txt", "b.txt"]
    assert set(skipped) == {"empty.txt", "large.txt", ".env", "pipe"}
    assert skipped["empty.txt"] == "empty"
    assert "too large" in skipped["large.txt"]
    assert walked(tmp_path / ".env")[0] == [".env"]


def test_links_are_not_followed(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text("s")
    (inside / "a.txt").write_text("a")
    (inside / "loop").symlink_to(inside, target_is_directory=True)
    (inside / "elsewhere").symlink_to(outside, target_is_directory=True)
    (inside / "file").symlink_to(outside / "secret.txt")
    (inside / "same").symlink_to(inside / "a.txt")
    (inside / "self").symlink_to(inside / "self")
    files, skipped = walked(inside)
    assert files == ["a.txt"]
    assert set(skipped) == {"loop", "elsewhere", "file", "same", "self"}
    assert "outside" in skipped["file"]
    assert walked(f"{inside}/**/*")[0] == ["a.txt"]
    assert walked(f"{inside}/*/../../out/*")[0] == []


def test_patterns_and_paths_that_are_not_there(tmp_path):
    (tmp_path / "x").mkdir()
    for name in ("a.md", "x/b.md", "x/c.py"):
        (tmp_path / name).write_text(name)
    assert walked(f"{tmp_path}/**/*.md")[0] == ["a.md", "b.md"]
    assert walked(f"{tmp_path}/*.nothing") == ([], {})
    with pytest.raises(InputError, match="no such"):
        check(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="no such folder"):
        walked(f"{tmp_path}/nowhere/*.md")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße\r\nzwei\rdrei".encode(), "Grüße\nzwei\ndrei"),
        ("Grüße".encode("utf-8-sig"), "Grüße"),
        ("Grüße".encode("utf-16"), "Grüße"),
        (
            ("Der Ärger über große Bäume. " * 20).encode("cp1252"),
            "Der Ärger über große Bäume. " * 20,
        ),
    ],
)
def test_encodings(data, text):
    assert text_of(data) == text


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\x00\x00", bytes(range(256)) * 8])
def test_binary_files_are_refused(data):
    with pytest.raises(Unreadable, match="binary"):
        text_of(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_unreadable(data):
    try:
        text = text_of(data)
    except Unreadable:
        return
    assert "\r" not in text
    assert "\x00" not in text


def test_markdown_headings_outside_code(tmp_path):
    made = document(tmp_path / "a.md", "# A\n```\n# no\n```\n## B ##\n### C\n## D\n")
    assert made.headings == ((1, 1, "A"), (5, 2, "B"), (6, 3, "C"), (7, 2, "D"))
    assert heading_path(made, 6) == "A > B > C"
    assert heading_path(made, 9) == "A > D"


def test_html_shows_what_a_page_shows(tmp_path):
    page = (
        "<html><head><title>no</title><script>evil()</script></head><body><nav>menu</nav>"
        "<h1>Top <em>one</em></h1><p>First &lt;b&gt;.</p><ul><li>item</li></ul>"
        "<h2>Code</h2><pre>x = 1\n\n\ny = 2</pre></body></html>"
    )
    made = document(tmp_path / "a.html", page)
    assert [title for _, _, title in made.headings] == ["Top one", "Code"]
    for line in ("First <b>.", "- item", "x = 1", "y = 2"):
        assert line in made.text.split("\n")
    assert "evil" not in made.text
    assert "menu" not in made.text


def test_a_notebook_by_cells(tmp_path):
    cells = [nbformat.v4.new_markdown_cell("# Title\n\ntext"), nbformat.v4.new_code_cell("x = 1")]
    made = document(tmp_path / "a.ipynb", nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    assert made.kind == "notebook"
    assert heading_path(made, 1) == "Title"
    line = made.text.split("\n").index("x = 1") + 1
    assert heading_path(made, line) == "Title > cell 2"


@pytest.mark.parametrize("text", ["no", "[1]", "{}", json.dumps({"cells": 3, "nbformat": 4})])
def test_a_broken_notebook_is_named(tmp_path, text):
    with pytest.raises(Unreadable):
        document(tmp_path / "a.ipynb", text)


def test_a_frame_by_rows():
    made = frame("people", pd.DataFrame({"name": ["Ann\nLee", "Bob"], "age": [3, 4]}))
    lines = made.text.split("\n")
    for number, _, title in made.headings:
        assert lines[number - 1].startswith("name:"), title
    assert heading_path(made, lines.index("name: Bob") + 1) == "row 1"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r")), max_size=60))
def test_chunks_are_the_text_where_they_say(parts):
    text = "\n".join(parts) + "\nend " + "word " * 300
    made = Document("s", "s", "d", "text", text)
    begin, lines = 0, text.split("\n")
    for number, chunk in enumerate(chunks(made)):
        assert chunk.number == number
        assert text[chunk.start : chunk.start + len(chunk.text)] == chunk.text
        assert not text[begin : chunk.start].strip()
        begin = chunk.start + len(chunk.text)
        assert chunk.first_line == text.count("\n", 0, chunk.start) + 1
        assert chunk.last_line == text.count("\n", 0, begin - 1) + 1
        assert chunk.text.split("\n")[0] in lines[chunk.first_line - 1]
    assert not text[begin:].strip()
