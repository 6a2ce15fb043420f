"""What people have in their folders and frames: one bad item is named, the rest is indexed."""

import decimal
import json
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from langchain_core.documents import Document as Theirs

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.records import Passage
from gptoss_magic.retrieval.cells import written
from gptoss_magic.retrieval.embedders import Words, embedder_named
from gptoss_magic.retrieval.evaluate import Evaluation, Figures, read_questions
from gptoss_magic.retrieval.folding import folded
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.items import Item
from gptoss_magic.retrieval.live import live_document
from gptoss_magic.retrieval.loaders import frame, read
from gptoss_magic.retrieval.memory import Memory
from gptoss_magic.retrieval.neighbours import neighbour
from gptoss_magic.retrieval.support import support
from gptoss_magic.textfiles import Unreadable
from gptoss_magic.widgets.sources import excerpt, sources_html, sources_text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = tmp_path / "files"
    made.mkdir()
    (made / "good.md").write_text("# Ferry\n\nThe ferry leaves at nine.\n")
    (made / "zz.md").write_text("# Train\n\nThe train leaves at ten.\n")
    return made


def skipped(report, folder):
    return {skip.path.removeprefix(f"{folder}/"): skip.why for skip in report.skipped}


def indexed(folder):
    index = Index.create("odd", Words())
    return index, index.ingest([str(folder)])


@pytest.mark.parametrize("name", [b"caf\xe9 menu.txt", b"\xff\xfe.md", b"\xed\xa0\xbd.txt"])
def test_a_file_name_that_is_no_utf8(folder, name):
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("The menu has soup.")
    index, report = indexed(folder)
    assert list(skipped(report, folder).values()) == [
        "its name is not UTF-8; rename it to index it"
    ]
    assert report.skipped[0].path.isascii()
    assert report.files == 2
    assert index.search("train")[0].source == f"{folder}/zz.md"


def test_a_folder_and_a_link_whose_names_are_no_utf8(folder):
    inner = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    inner.mkdir()
    (inner / "menu.txt").write_text("The menu has soup.")
    Path(os.fsdecode(os.fsencode(folder) + b"/l\xe9")).symlink_to(folder / "good.md")
    _, report = indexed(folder)
    assert skipped(report, folder) == {
        "caf\\xe9/menu.txt": "its name is not UTF-8; rename it to index it",
        "l\\xe9": "a link is not followed",
    }


def notebook_of(*cells, **more):
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": list(cells)} | more)


MARKDOWN = {"cell_type": "markdown", "source": ["# Kiln\n", "The kiln runs at 1200 degrees."]}


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        ({"cell_type": "markdown", "metadata": {}}, "cell 1 has no source"),
        ({"cell_type": "code", "source": None, "outputs": None}, "cell 1 has no source"),
        ({"cell_type": "code", "source": 5}, "cell 1 has no source"),
        ({"cell_type": "code", "source": ["a", None]}, "cell 1 has no source"),
        (None, "cell 1 has no source"),
        ({"source": "y = 'clay'"}, ""),
        ({"cell_type": "markdown", "metadata": None, "source": "y = 'clay'\r\n"}, ""),
    ],
)
def test_a_notebook_with_an_odd_cell(folder, cell, note):
    (folder / "a.ipynb").write_text(notebook_of(cell, MARKDOWN, metadata=None))
    index, report = indexed(folder)
    assert report.skipped == []
    assert report.notes == ({f"{folder}/a.ipynb": note} if note else {})
    assert "The kiln runs at 1200 degrees." in index.search("kiln degrees")[0].text
    assert len(index.search("clay")) == (0 if note else 1)


def test_a_notebook_without_metadata_and_one_of_version_3(folder):
    (folder / "nometa.ipynb").write_text(json.dumps({"cells": [MARKDOWN]}))
    old = {"cell_type": "heading", "level": 2, "source": ["Old kiln"]}
    code = {"cell_type": "code", "input": ["print 1"], "outputs": []}
    sheets = [{"cells": [old, code]}, {"metadata": {}}]
    (folder / "v3.ipynb").write_text(json.dumps({"nbformat": 3, "worksheets": sheets}))
    index, report = indexed(folder)
    assert report.skipped == []
    assert index.search("degrees")[0].source == f"{folder}/nometa.ipynb"
    assert index.search("old kiln")[0].text == "## Old kiln\n\nprint 1"


@pytest.mark.parametrize("text", ["[]", "", "{", '{"cells": null}', '{"worksheets": 3}', "<<<<<<<"])
def test_what_is_no_notebook_is_named_alone(folder, text):
    (folder / "a.ipynb").write_text(text or " ")
    _, report = indexed(folder)
    assert list(skipped(report, folder)) == ["a.ipynb"]
    assert skipped(report, folder)["a.ipynb"].startswith("not a notebook")
    assert report.files == 2


def test_lone_surrogates_in_a_notebook_are_noted(folder):
    cell = {"cell_type": "markdown", "source": "# Clay \ud83d\n\nred \ud83d clay"}
    (folder / "a.ipynb").write_text(notebook_of(cell))
    index, report = indexed(folder)
    note = "half characters in it (surrogates), read as \ufffd"
    assert report.notes == {f"{folder}/a.ipynb": note}
    found = index.search("red clay \ud83d")[0]
    assert (found.heading, found.text) == ("Clay \ufffd", "# Clay \ufffd\n\nred \ufffd clay")


def test_files_whose_readers_break_are_named(folder):
    (folder / "deep.ipynb").write_text('{"cells": ' + "[" * 100_000)
    (folder / "a.pdf").write_bytes(b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\n")
    (folder / "b.xlsx").write_text("<html>no workbook</html>")
    _, report = indexed(folder)
    assert sorted(skipped(report, folder)) == ["a.pdf", "b.xlsx", "deep.ipynb"]
    assert report.files == 2


def test_a_missing_package_leaves_its_files_out(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bs4", None)
    (folder / "a.html").write_text("<p>soup</p>")
    _, report = indexed(folder)
    why = "HTML needs beautifulsoup4: pip install gptoss_magic[rag]"
    assert skipped(report, folder) == {"a.html": why}
    assert report.files == 2


def test_encodings_late_in_a_file_and_single_bad_bytes(folder):
    head = b"".join(b"Line %d of the archive.\n" % number for number in range(12_000))
    late = "The harbour café is called Møllers.\n"
    (folder / "late.txt").write_bytes(head + late.encode("cp1252"))
    bad = "# Müller’s Übersicht\n\nDie Brücke ☃ ".encode() + b"\x93gebaut\x94\n"
    (folder / "one_bad.md").write_bytes(bad)
    index, report = indexed(folder)
    assert report.skipped == []
    assert report.notes == {f"{folder}/one_bad.md": "damaged as utf-8: 2 × \ufffd in it"}
    assert late.strip() in index.search("harbour café Møllers")[0].text
    assert "Brücke ☃ \ufffdgebaut\ufffd" in index.search("Brücke gebaut")[0].text


def test_a_frame_has_only_filled_columns():
    table = pd.DataFrame(
        {
            "name": ["Ann", None, "Nan"],
            "age": [3, np.nan, 41],
            "big": pd.array([1, pd.NA, 3], dtype="Int64"),
            "when": [pd.NaT, pd.Timestamp("2024-05-01"), pd.Timestamp("2024-05-01 09:30")],
            "tags": [["a", None], [], np.array([1.0, np.nan])],
            "price": [0.1 + 0.2, 2.5, float("nan")],
        }
    )
    assert frame("t", table).text.split("\n\n") == [
        "name: Ann\nage: 3\nbig: 1\ntags: a\nprice: 0.3",
        "when: 2024-05-01\nprice: 2.5",
        "name: Nan\nage: 41\nbig: 3\nwhen: 2024-05-01 09:30:00\ntags: 1",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (np.float32("nan"), ""),
        (np.datetime64("NaT"), ""),
        (decimal.Decimal("NaN"), ""),
        (decimal.Decimal("sNaN"), ""),
        (pd.NA, ""),
        (pd.NaT, ""),
        ({}, ""),
        ({"a": None, "b": [1, float("nan")]}, "b: 1"),
        (np.float32(0.1), "0.1"),
        (np.int64(7), "7"),
        (12345678901.0, "12345678901"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (True, "True"),
        (" NA ", "NA"),
        ("a\r\nb", "a\nb"),
    ],
)
def test_values_as_people_write_them(value, text):
    assert written(value) == text


def test_rows_of_a_frame_that_are_empty_or_cannot_be_written():
    class Broken:
        def __str__(self):
            raise RuntimeError("no\nway")

    table = pd.DataFrame({"a": [None, "x", Broken()], ("b", 1): [np.nan, 2, 3]}, index=[5, 6, 7])
    made = frame("t", table)
    assert made.text == "a: x\nb, 1: 2"
    assert made.headings == ((1, 1, "row 6"),)
    assert made.note == "row 2: RuntimeError: no way"


def test_a_frame_of_nothing_is_named_and_others_are_indexed(folder):
    index = Index.create("odd", Words())
    empty = frame("empty", pd.DataFrame({"a": [None, float("nan")]}))
    column = pd.Index(["t\ud83d"], dtype=object)
    surrogate = frame("half", pd.DataFrame([["heron \udc80"]], columns=column, dtype=object))
    report = index.ingest([str(folder)], [empty, surrogate])
    assert skipped(report, folder) == {"frame:empty": "no text in it"}
    assert index.search("heron")[0].text == "t\ufffd: heron \ufffd"
    assert report.files == 3


def test_a_live_notebook_with_half_a_character(folder):
    index = Index.create("odd", Words())
    live = live_document("caf\udce9.ipynb", [(1, "x = '\ud83d heron'", "")])
    index.ingest([], [live])
    assert index.search("heron")[0].source == "notebook:caf\\xe9.ipynb"


FORMS = [
    ("We host the mirror on Ｃｌｏｕｄｆｌａｒｅ since spring.", "Cloudflare"),
    ("We host the mirror on Cloudflare since spring.", "Ｃｌｏｕｄｆｌａｒｅ"),
    ("The ﬁreﬂy lamp hangs in room nine.", "firefly"),
    ("The e\u0301lectricien comes at noon.", "électricien"),
    ("The ther\u00admo\u00adstat of hall four is broken.", "thermostat"),
    ("部品 ｶﾀﾛｸﾞ を見る", "カタログ"),
    ("Order № ４２ is late", "42"),
]


@pytest.mark.parametrize("embedder", ["words", "wordllama-256"])
@pytest.mark.parametrize(("text", "query"), FORMS)
def test_forms_of_one_letter_are_one(folder, text, query, embedder):
    (folder / "form.txt").write_text(f"first line\n{text}\n")
    for number in range(30):
        (folder / f"f{number}.txt").write_text(f"Filler {number} speaks of gardens and rivers.")
    index = Index.create("forms", embedder_named(embedder))
    index.ingest([str(folder)])
    found = index.search(query, 3)[0]
    assert found.source == f"{folder}/form.txt"
    assert found.text == f"first line\n{text}"
    assert (found.first_line, found.last_line) == (1, 2)


def test_support_compares_folded_words():
    passage = Passage(1, "i", "a.md", "", 1, 1, "The mirror runs on Ｃｌｏｕｄｆｌａｒｅ servers")
    answer = "The mirror runs on Cloudflare servers."
    assert support(answer, [passage], (), "Where?")[0].number == 1
    assert folded("\ud83d") == "\ufffd"


def test_memory_with_odd_text(folder):
    memory = Memory("odd", "caf\udce9.ipynb", Words())
    memory.remember([Item("note", "Likes Ｃｌｏｕｄｆｌａｒｅ \ud83d", conversation="c\ud83d")])
    found = memory.recall("cloudflare \ud83d")
    assert [item.text for item in found] == ["Likes Ｃｌｏｕｄｆｌａｒｅ \ufffd"]
    assert found[0].notebook == "caf\\xe9.ipynb"
    assert memory.items(notebook="caf\udce9.ipynb") == memory.items()


def test_tables_of_an_older_version_are_searched_and_written(folder, monkeypatch):
    """They have no text of its own for words: these are found as they stand."""
    from gptoss_magic.retrieval import store

    older = store.schema(Words())
    older = older.remove(older.get_field_index("words"))
    monkeypatch.setattr(store, "schema", lambda _embedder: older)
    index, report = indexed(folder)
    assert report.files == 2
    assert index.search("train")[0].source == f"{folder}/zz.md"


class Mixed:
    """A retriever of others, with odd documents among good ones."""

    def __init__(self, *found):
        self.found = found

    def invoke(self, query):
        return list(self.found)


def test_odd_documents_of_another_retriever_are_left_out():
    nan = float("nan")
    good = Theirs("half \ud83d of it", metadata={"source": nan, "page": 3.0, "title": "t\nu"})
    with pytest.warns(UserWarning, match=r"retriever x: it gives NoneType, .*; left out: 2"):
        found = neighbour("x", Mixed(None, good, {"page_content": 3})).search("a\ud83d", 5)
    assert [(p.number, p.text, p.source, p.heading) for p in found] == [
        (1, "half \ufffd of it", "t\\x0au", "page 3")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert neighbour("x", Mixed(Theirs("", metadata={}))).search("a") == []
        with pytest.raises(InputError, match="it gives NoneType"):
            neighbour("x", Mixed(None, None)).search("a")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_questions_in_any_encoding_with_nulls(tmp_path, encoding):
    path = tmp_path / "questions.jsonl"
    row = '{"question": "Where is the café?", "source": "a.md", "lines": null, "chunk": null}\r\n'
    path.write_bytes(f"{row}\r\n{row}".encode(encoding))
    want = {"question": "Where is the café?", "source": "a.md"}
    assert read_questions(str(path)) == [want, want]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('\n{"question": null, "source": "a"}', "line 2: give an object with a question"),
        ('{"question": NaN, "source": "a"}', "line 1: give an object with a question"),
        ("[1]", "line 1: give an object with a question"),
        ('{"question": "a"', r"line 1: no JSON \("),
        ('{"question": "a", "answers": [null]}', "line 1: say what answers it"),
        ("\n\n", "no question in it"),
    ],
)
def test_questions_that_are_none(tmp_path, text, says):
    path = tmp_path / "questions.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_questions(str(path))
    assert "\n" not in str(caught.value)


def test_a_frame_of_figures_names_its_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    found = Evaluation("i", 1, 1, 0, {"words": Figures(1, 1, 1, 0)}, {"words": ()})
    with pytest.raises(MissingPackage, match=r"pip install gptoss_magic\[map\]"):
        found.to_frame()


def test_two_files_of_one_name_are_told_apart():
    def passage(number, source):
        return Passage(number, "i", source, "Same", 1, 2, "text")

    pair = [passage(1, "/x/same.md"), passage(2, "/x/sub/same.md"), passage(3, "/x/other.md")]
    assert sources_text(pair).split("\n")[1:] == [
        "[1] x/same.md · Same · lines 1–2",
        "[2] sub/same.md · Same · lines 1–2",
        "[3] other.md · Same · lines 1–2",
    ]
    assert "[2] sub/same.md" in sources_html(pair)
    deep = [
        passage(1, "/a/doc/same.md"),
        passage(2, "/b/doc/same.md"),
        passage(3, "/a/doc/same.md"),
    ]
    assert [line.split(" ·")[0] for line in sources_text(deep).split("\n")[1:]] == [
        "[1] a/doc/same.md",
        "[2] b/doc/same.md",
        "[3] a/doc/same.md",
    ]
    assert "[1] same.md" in sources_text([passage(1, "same.md"), passage(2, "x/same.md")])


@pytest.mark.parametrize("place", ["http://[::1", "http://h:no#m", "http://h é/#m", "ftp://h#m"])
def test_an_embedder_address_that_is_none(place):
    with pytest.raises(InputError, match=r"give openai:URL#MODEL"):
        embedder_named(f"openai:{place}")


def test_reading_one_file_says_why():
    with pytest.raises(Unreadable, match=r"^binary$"):
        read(Path("a.txt"), "a.txt", bytes(100))


EXCERPTS = [
    (
        "It opens at nine.\nThe bridge was opened in 1962.",
        "When was the bridge opened?",
        "The bridge",
    ),
    ("Музей закрыт. Мосты открывают весной.", "Когда открывают мост?", "Мосты открывают весной."),
    ("博物馆每天开放。水塔高六十一米。", "水塔有多高", "水塔高六十一米。"),
    ("Nothing of it.", "zebra", "Nothing of it."),
    ("\n\n", "zebra", ""),
]


@pytest.mark.parametrize(("text", "query", "seen"), EXCERPTS)
def test_of_a_passage_the_sentence_that_was_asked_for_is_seen(text, query, seen):
    assert excerpt(text, query).startswith(seen)
    assert (excerpt(text, query) == "") == (seen == "")


def test_a_searched_passage_shows_a_line_before_it_is_unfolded():
    text = "First line.\n" + "The <b>bridge</b> of Norvik " * 20
    found = Passage(1, "docs", "a.md", "", 1, 2, text)
    summary = re.search("<summary.*?</summary>", sources_html([found], query="bridge"))[0]
    assert "The &lt;b&gt;bridge&lt;/b&gt; of Norvik" in summary
    assert len(summary) < 500
    assert "bridge" not in re.search("<summary.*?</summary>", sources_html([found]))[0]
