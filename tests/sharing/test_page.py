"""A notebook of any age and shape becomes a page; its records come back; what is there stays."""

import json
import os

import nbformat
import pytest

import gptoss_magic
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.sharing.page import page
from gptoss_magic.sharing.page_records import notebook_of_page
from gptoss_magic.sharing.records import records_of
from tests.page_cases import PNG, answer, code, markdown, notebook, record, shown, stream

ASKED = "%%gptoss -e low\nWhat is {{ x }}?"


def saved(folder, notebook, name="one.ipynb"):
    path = folder / name
    path.write_text(json.dumps(notebook))
    return path


def written(folder, *cells, name="one.ipynb", **rest):
    """The text of the page of a notebook of these cells."""
    return page(saved(folder, notebook(*cells, **rest), name), force=True).path.read_text("utf-8")


def test_what_a_page_says(tmp_path):
    kept = code(ASKED, answer(), count=3, execution={"iopub.execute_input": "2026-01-02T03:04:05Z"})
    made = page(
        saved(tmp_path, notebook(markdown("# A *title*\n\nText."), kept)), tmp_path / "p.html"
    )
    html = made.path.read_text("utf-8")
    assert (made.num_cells, made.num_records, made.left_out) == (2, 1, "")
    assert str(made).startswith(f"{tmp_path}/p.html: 2 cells, 1 answer with tokens, ")
    for part in (
        *("<title>A title</title>", '<h1 dir="auto">A <em>title</em></h1>', "<p>Text.</p>"),
        *("<dd>one.ipynb</dd>", "<dd>built-in</dd>", "<dd>sailor</dd>", "2026-01-02 03:04 UTC"),
        *("%gptoss replay p.html", "In [3]", "<p>Paris &amp; more</p>", "{{ x }}"),
        *("default-src 'none'", "style-src 'sha256-", 'type="application/json"'),
    ):
        assert part in html
    for word in ("http:", "https:", " style=", "<script>", "unsafe"):
        assert word not in html.replace("http://www.w3.org/", "")


def test_records_come_back_from_the_page(tmp_path):
    odd = {**record("</script><!-- <script>"), "note": "\u2028 ' & \ud800 é"}
    colab = answer(odd)
    colab["metadata"] = {}
    cells = (markdown("m"), code(ASKED, stream("x"), answer(), count=2), code("y", colab, count=1))
    original = notebook(*cells)
    back = notebook_of_page(written(tmp_path, *cells))
    assert list(records_of(back)) == list(records_of(original))
    assert [found.cell for found in records_of(back)] == [3, 2]
    assert back["cells"][2]["outputs"][0]["metadata"]["gptoss_magic"]["note"] == odd["note"]
    assert back["cells"][1]["source"] == ASKED
    assert back["metadata"]["gptoss_magic"]["notebook"] == "one.ipynb"
    assert back["cells"][1]["outputs"][0]["data"]["application/vnd.gptoss.answer+json"] == {
        "version": 1,
        "final": "Paris",
    }


def test_an_edit_of_what_is_seen_changes_no_record(tmp_path):
    html = written(tmp_path, code(ASKED, answer()))
    edited = (
        html.replace("Paris &amp; more", "London").replace('","', '",\n  "').replace("\n", "\r\n")
    )
    assert list(records_of(notebook_of_page(edited))) == list(records_of(notebook_of_page(html)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda html: "", "no page of %gptoss page"),
        (lambda html: "<html><p>x</p></html>", "no page of %gptoss page"),
        (lambda html: "{}", "no page of %gptoss page"),
        (lambda html: html[: html.index("<main")], "cut before its records"),
        (lambda html: html[: html.index("<script") + 300], "cut within its records"),
        (lambda html: html[: html.index("</script")], "cut within its records"),
        (lambda html: html.replace('"sailor"', '"pirate"'), "changed after it was made"),
        (lambda html: html.replace("data-digest", "data-x"), "changed after it was made"),
        (lambda html: html.replace('"cells":[', '"cells":[{"x":'), "its records: no JSON"),
        (lambda html: html.replace('"cells"', '"sells"'), "its records are no notebook"),
        (lambda html: html[: html.index('>{"')] + ">" + "[" * 100_000 + "</script>", "no JSON"),
        (lambda html: html[: html.index('>{"')] + ">[]</script>", "are no notebook"),
    ],
)
def test_a_damaged_page_is_one_line(tmp_path, change, words):
    html = written(tmp_path, code(ASKED, answer()))
    with pytest.raises(InputError, match=words) as caught:
        notebook_of_page(change(html), "p.html")
    assert str(caught.value).startswith("p.html: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "cells",
    [
        (),
        (markdown(""),),
        ({"cell_type": "code"},),
        ({"cell_type": "code", "source": None, "outputs": None, "metadata": None},),
        ({"cell_type": "markdown", "source": ["# T\n", "x"], "attachments": []},),
        ({}, None, "x", 3, [], {"cell_type": "new"}, {"cell_type": "raw", "source": ["a"]}),
        (
            code(
                "x",
                "y",
                {},
                None,
                {"output_type": "display_data"},
                shown([]),
                shown({"text/html": 3}),
            ),
        ),
        (code("x", {"output_type": "error"}, {"output_type": "error", "traceback": [1, None]}),),
        (code("x", {"output_type": "stream"}, stream(["a", "b"]), stream({"a": 1})),),
        (code("x", shown({"image/png": "%%%", "image/svg+xml": "<svg><g>", "text/latex": ""})),),
        (code("x", shown({"application/json": {"a": None}}), shown({"text/plain": [1, 2]})),),
        (code("x", count="7", jupyter={"source_hidden": True}, collapsed=True),),
        (code("x", shown({"text/plain": "x"}, {"gptoss_magic": "no record"})),),
        (
            code(
                "x", shown({"text/plain": "\ud800\0\x1b[31"}, {"gptoss_magic": {"generations": 5}})
            ),
        ),
    ],
)
def test_cells_of_every_shape_become_a_page(tmp_path, cells):
    html = written(tmp_path, *cells)
    assert "</html>" in html
    assert len(notebook_of_page(html)["cells"]) == len(cells)
    assert "replay" not in html


def test_old_formats_are_read(tmp_path):
    cells = [nbformat.v3.new_text_cell("markdown", source="# Old"),
             nbformat.v3.new_code_cell(input="1 + 1", prompt_number=4, outputs=[
                 nbformat.v3.new_output("pyout", output_text="2", prompt_number=4)])]  # fmt: skip
    sheet = nbformat.v3.new_worksheet(cells=cells)
    old = nbformat.v3.new_notebook(worksheets=[sheet])
    html = page(saved(tmp_path, old)).path.read_text("utf-8")
    assert "<title>Old</title>" in html
    assert "In [4]" in html
    assert ">2</pre>" in html
    for minor in range(6):
        assert "In [1]" in written(tmp_path, code("x"), nbformat_minor=minor)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[]", "no notebook"),
        ("{}", "no notebook"),
        ('{"worksheets": 3, "nbformat": 3}', "old format that cannot be read"),
        ("<html></html>", "no JSON"),
    ],
)
def test_what_is_no_notebook_is_one_line_and_writes_nothing(tmp_path, text, words):
    path = tmp_path / "one.ipynb"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        page(path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_notebook_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"no such notebook; give the path of an \.ipynb file"):
        page(tmp_path / "none.ipynb")
    path = saved(tmp_path, notebook())
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        page(path, tmp_path / "file" / "p.html")


def test_names_of_every_kind(tmp_path):
    html = written(tmp_path, code("x", answer()), name="Блокнот <b> 'a'.ipynb")
    assert "<dd>Блокнот &lt;b&gt; &#39;a&#39;.ipynb</dd>" in html
    path = os.fsencode(saved(tmp_path, notebook(code("x", answer())))).replace(b"one", b"\xff\n")
    os.rename(tmp_path / "one.ipynb", path)  # noqa: PTH104 (bytes)
    made = page(os.fsdecode(path), tmp_path / "p.html")
    assert "\\xff\\x0a.ipynb" in made.path.read_text("utf-8")


def test_what_is_there_stays_but_for_a_page_of_this_notebook(tmp_path):
    path, out = saved(tmp_path, notebook(code("x", id="a"))), tmp_path / "p.html"
    page(path, out)
    path.write_text(json.dumps(notebook({**code("y"), "id": "b"}, {**code("x"), "id": "c"})))
    page(path, out)
    before = out.read_text("utf-8")
    other = notebook({**code("z"), "id": "q"})
    for name in ("one.ipynb", "two.ipynb"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=r"page of another notebook is there \(one.ipynb\)"):
            page(saved(tmp_path / "sub", other, name), out)
    assert out.read_text("utf-8") == before
    out.write_text("my own notes")
    with pytest.raises(InputError, match="something else is there; give another name, or --force"):
        page(path, out)
    assert out.read_text("utf-8") == "my own notes"
    page(path, out, force=True)
    assert notebook_of_page(out.read_text("utf-8"))
    with pytest.raises(InputError, match="a folder"):
        page(path, tmp_path / "sub")
    with pytest.raises(InputError, match="the notebook itself"):
        page(path, path, force=True)
    assert json.loads(path.read_text())


def test_images_below_the_folder_go_in_and_no_other_file(tmp_path):
    folder = tmp_path / "book"
    (folder / "img").mkdir(parents=True)
    import base64

    data = base64.b64decode(PNG)
    for place in (folder / "a b.png", folder / "img" / "é.png", tmp_path / "secret.png"):
        place.write_bytes(data)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "text.png").write_text("password")
    (folder / "draw.svg").write_text("<svg><circle r='3'/></svg>")
    inside = "![1](a%20b.png) ![2](img/é.png) <img src='./draw.svg?x=1'> ![3](attachment:c.png)"
    outside = (
        f"![](../secret.png) ![](link.png) ![](text.png) ![]({tmp_path}/secret.png) ![](no.png)"
    )
    attached = {"c.png": {"image/png": PNG}}
    html = written(folder, markdown(f"{inside} {outside}", attachments=attached))
    assert html.count('src="data:image/png;base64,') == 3
    assert html.count('src="data:image/svg+xml;base64,') == 1
    assert "Left out here: 5 images (../secret.png, link.png, text.png)" in html
    assert "password" not in html
    html = written(folder, code("x", shown({"text/html": "<img src='a b.png'>"})))
    assert "Left out here: 1 image (a b.png)" in html


def test_the_best_form_is_shown_and_the_rest_named(tmp_path):
    cells = [
        code("1", shown({"text/html": "<script>1</script><div></div>", "image/png": PNG})),
        code(
            "2", shown({"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Slider()"})
        ),
        code("3", shown({"application/vnd.plotly.v1+json": {}, "text/plain": "Figure()"})),
        code("4", shown({"text/latex": "$\\nosuch$", "text/plain": "four"})),
        code("5", shown({"text/latex": r"$\frac12$", "text/plain": "five"})),
        code("6", shown({"application/javascript": "alert(1)"})),
        code("7", shown({"image/png": PNG}, {"image/png": {"width": 30, "alt": 'A "dot"'}})),
    ]
    html = written(tmp_path, *cells)
    for part in (
        *("Left out here: 1 script</p>", "Left out here: 1 live view</p>", "Slider()", "Figure()"),
        *("1 other form (application/vnd.plotly.v1+json)", "\\nosuch", "<mfrac>", 'width="30"'),
        'alt="A &quot;dot&quot;"',
    ):
        assert part in html
    assert "five" not in html.replace("five&quot;", "")
    assert "Left out of it, and named where it stood: 2 scripts; 1 live view; 1 other form." in html


def test_long_texts_are_folded_and_cut_with_a_word(tmp_path):
    html = written(tmp_path, code("x", stream("line\n" * 300)), code("y", stream("z" * 1_500_000)))
    assert "<summary>301 lines</summary>" in html
    assert "… 500,000 characters more" in html
    assert "1 end of a long text (500,000 characters more)" in html


def test_prose_says_its_language(tmp_path):
    assert '<main id="n" lang="ru">' in written(tmp_path, markdown("# Привет\n\nПросто текст."))
    assert '<main id="n" lang="uk">' in written(tmp_path, markdown("Це їхній ґанок, і є кіт."))
    assert '<main id="n">' in written(tmp_path, markdown("Plain text, один word."))


def test_nbconvert_finds_the_exporter(tmp_path):
    from nbconvert.exporters import get_exporter

    cells = [{**markdown("# Hello"), "id": "a"}, {**code(ASKED, answer()), "id": "b"}]
    path = saved(tmp_path, notebook(*cells))
    html, about = get_exporter("gptoss_page")().from_filename(str(path))
    assert "<title>Hello</title>" in html
    assert about["output_extension"] == ".html"
    assert len(list(records_of(notebook_of_page(html)))) == 1


def test_the_same_in_a_script(tmp_path):
    path = saved(tmp_path, notebook(code(ASKED, answer())))
    assert gptoss_magic.page(path).path == tmp_path / "one.html"
