"""PDF, Word, PowerPoint and Excel: text by page, slide and sheet; what cannot be read is named."""

import io
import sys
import zipfile

import docx
import openpyxl
import pptx
import pytest

import gptoss_magic
from gptoss_magic.retrieval.chunks import chunks, heading_path
from gptoss_magic.retrieval.embedders import Words
from gptoss_magic.retrieval.loaders import read
from gptoss_magic.textfiles import Unreadable


def pdf_bytes(*pages, encrypted=False):
    """A PDF by hand: a page for each text, its lines below one another."""
    objects = ["<</Type/Catalog/Pages 2 0 R>>", "", "<</Type/Font/Subtype/Type1/BaseFont/Courier>>"]
    kids = []
    for text in pages:
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n"))
        stream = f"BT /F 12 Tf 72 720 Td {lines}ET"
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F 3 0 R>>>>"
            f"/Contents {len(objects)} 0 R>>"
        )
    objects[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
    lock = f"<</Filter/Standard/V 1/R 2/O<{'41' * 32}>/U<{'42' * 32}>/P -4>>"
    objects += [lock] if encrypted else []
    body, places = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj{text}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    more = f"/Encrypt {len(objects)} 0 R/ID[<00><00>]" if encrypted else ""
    size = len(objects) + 1
    body += f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer<</Size {size}/Root 1 0 R{more}>>"
    return f"{body}\nstartxref\n{body.index('xref')}\n%%EOF".encode("latin-1")


def word_bytes():
    document = docx.Document()
    document.add_heading("Manual", 0)
    document.add_heading("Care", 1)
    document.add_paragraph("Cats sleep long.")
    document.add_paragraph("water", style="List Bullet")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "food", "fish"
    document.add_heading("Toys", 2)
    document.add_paragraph("A ball.")
    return saved(document)


def slides_bytes():
    show = pptx.Presentation()
    for title, text in (("Cats", "They purr."), ("Dogs", "They bark.")):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = title, text
    slide.notes_slide.notes_text_frame.text = "Ask about barking."
    return saved(show)


def sheets_bytes():
    book = openpyxl.Workbook()
    book.active.title = "Pets"
    for row in (["name", "age"], [None, None], ["Tom", 7]):
        book.active.append(row)
    book.create_sheet("Empty")
    return saved(book)


def saved(document):
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def document(path, data):
    path.write_bytes(data)
    return read(path, str(path), data)


def test_a_chunk_of_a_pdf_knows_its_page(tmp_path):
    made = document(tmp_path / "a.pdf", pdf_bytes("Cats sleep\nfifteen hours", "", "Dogs bark"))
    assert made.kind == "pdf"
    found = [(c.heading, c.text, c.first_line, c.last_line) for c in chunks(made)]
    assert found == [
        ("page 1", "Cats sleep\nfifteen hours", 1, 2),
        ("page 3", "Dogs bark", 6, 6),
    ]


def test_word_by_headings(tmp_path):
    made = document(tmp_path / "a.docx", word_bytes())
    lines = made.text.split("\n")
    assert heading_path(made, lines.index("Cats sleep long.") + 1) == "Manual > Care"
    assert heading_path(made, lines.index("A ball.") + 1) == "Manual > Care > Toys"
    assert "- water" in lines
    assert "food | fish" in lines


def test_slides_and_sheets_are_parts(tmp_path):
    slides = list(chunks(document(tmp_path / "a.pptx", slides_bytes())))
    assert [c.heading for c in slides] == ["slide 1 > Cats", "slide 2 > Dogs"]
    assert "They purr." in slides[0].text
    assert "Ask about barking." in slides[1].text
    (sheet,) = chunks(document(tmp_path / "a.xlsx", sheets_bytes()))
    assert sheet.heading == "sheet 1 > Pets"
    assert sheet.text == "row 1: name | age\nrow 3: Tom | 7"


def test_damaged_and_encrypted_files_are_named(tmp_path):
    whole = word_bytes()
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("a", "b")
    for name, data, why in [
        ("a.pdf", b"%PDF-1.4 nothing", "damaged"),
        ("b.pdf", pdf_bytes("secret", encrypted=True), "encrypted"),
        ("c.pdf", pdf_bytes(""), "no text"),
        ("d.docx", whole[: len(whole) // 2], "damaged"),
        ("e.xlsx", b"\xd0\xcf\x11\xe0" + bytes(600), "encrypted"),
        ("f.pptx", (tmp_path / "x.zip").read_bytes(), "damaged"),
        ("g.docx", b"text", "damaged"),
    ]:
        with pytest.raises(Unreadable, match=why):
            document(tmp_path / name, data)


def test_what_cannot_be_read_is_skipped_and_the_rest_is_indexed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(pdf_bytes("Cats purr"))
    (folder / "b.docx").write_bytes(b"no")
    index = gptoss_magic.Index.create("files", Words())
    report = index.ingest([str(folder)])
    assert [(s.path.split("/")[-1], s.why) for s in report.skipped] == [
        ("b.docx", "damaged, or not an Office file")
    ]
    assert index.search("purr")[0].heading == "page 1"


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [("a.pdf", "pypdfium2", "pdf"), ("a.docx", "docx", "office"), ("a.xlsx", "openpyxl", "office")],
)
def test_a_missing_package_names_the_extra(tmp_path, monkeypatch, name, library, extra):
    data = {"a.pdf": pdf_bytes("x"), "a.docx": word_bytes(), "a.xlsx": sheets_bytes()}[name]
    monkeypatch.setitem(sys.modules, library, None)  # the library had to make the file first
    with pytest.raises(Unreadable, match=rf"pip install gptoss_magic\[{extra}\]"):
        document(tmp_path / name, data)
