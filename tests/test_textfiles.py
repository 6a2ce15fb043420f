"""Files as people have them: every encoding, marks, damaged bytes, names that are no UTF-8."""

import os
import sys
from pathlib import Path

import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable, is_encodable, printable
from gptoss_magic.textfiles import (
    Unreadable,
    decode,
    json_lines,
    json_value,
    read_json,
    read_json_lines,
    read_text,
)


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"]
)
def test_every_unicode_encoding_with_its_mark_or_without(encoding):
    text = "The café opens at nine.\r\n東京 🙂\r\n"
    assert decode(text.encode(encoding)).text == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_marks_of_either_byte_order(encoding):
    decoded = decode("\ufeffline\n東京".encode(encoding))
    assert (decoded.text, decoded.encoding, decoded.note) == ("line\n東京", encoding, "")


def test_utf16_cut_in_a_character_is_read_with_a_note():
    decoded = decode("ferry".encode("utf-16")[:-1])
    assert decoded.text == "ferr\ufffd"
    assert decoded.note == "damaged as utf-16-le: 1 × \ufffd in it"


def test_another_encoding_late_in_the_file():
    head = b"".join(b"Line %d says nothing of interest.\n" % n for n in range(9000))
    tail = "The harbour café is open.\n"
    decoded = decode(head + tail.encode("cp1252"))
    assert len(head) > 200_000
    assert decoded.text == head.decode() + tail
    assert decoded.note == ""


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("The café opens 9–17, closed on “Sundays”. Prices in €.", "cp1252"),
        ("A naïve plan — it’s “fine”.", "cp1252"),
        ("The price is £5 at 20 °C", "cp1252"),
        ("Total: 1.234,56 €", "cp1252"),
        ("name,city\nJosé,Málaga\nZoë,Köln", "latin-1"),
        ("Zażółć gęślą jaźń. Łódź jest piękna, a Kraków też.", "cp1250"),
        ("Árvíztűrő tükörfúrógép, jó reggelt kívánok mindenkinek.", "cp1250"),
        ("İstanbul'da güneşli bir gün, çocuklar ağaçların altında oynuyor.", "cp1254"),
        ("Мост через реку построен в 1932 году. Его длина двести метров.", "koi8-r"),
        ("Мост через реку построен в 1932 году. Его длина двести метров.", "cp1251"),
        ("Η γέφυρα χτίστηκε το 1932 και έχει μήκος διακόσια μέτρα.", "cp1253"),
        ("הגשר נבנה בשנת 1932 ואורכו מאתיים מטר", "cp1255"),
        ("تأسست المكتبة الوطنية عام 1920 في وسط المدينة", "cp1256"),
        ("ห้องสมุดปิดทำการทุกวันพุธสุดท้ายของเดือน", "tis-620"),
        ("東京駅の開業は1914年です。駅舎は赤レンガで有名です。", "shift_jis"),
        ("東京駅の開業は1914年です。駅舎は赤レンガで有名です。", "euc_jp"),
        ("臺北車站於一九八九年落成，是臺灣最大的車站。", "big5"),
        ("财务部负责审核供应商合同，每月初汇总。", "gbk"),
        ("서울역은 1925년에 문을 열었다. 붉은 벽돌로 유명하다.", "euc_kr"),
    ],
)
@pytest.mark.parametrize("before", ["", "x = 1\n" * 50_000], ids=["alone", "late"])
def test_legacy_encodings_alone_and_late(text, encoding, before):
    decoded = decode(before.encode() + text.encode(encoding))
    assert decoded.text.removeprefix(before) == text
    assert decoded.note == ""


@pytest.mark.parametrize("num_bytes", [3_000, 300_000])
def test_one_long_line_in_another_encoding(num_bytes):
    text = "var a=1;" * (num_bytes // 8) + "s='設定ファイル 東京駅の開業';"
    assert decode(text.encode("shift_jis")).text == text


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<html><head><meta charset="{}">', "windows-1251"),
        ("<meta http-equiv=Content-Type content='text/html; charset={}'>", "koi8-r"),
        ('<?xml version="1.0" encoding="{}"?>', "iso-8859-5"),
        ("# -*- coding: {} -*-", "cp1251"),
    ],
)
def test_a_declared_encoding_is_believed_where_it_reads(head, encoding):
    text = head.format(encoding) + "\nПривет"
    assert decode(text.encode(encoding)).text == text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "rot13", "zlib", "no-such-thing", "idna"])
def test_a_declared_encoding_that_is_none_is_not_believed(encoding):
    text = f"<meta charset={encoding}>The café is called Møllers, près de la forêt."
    assert decode(text.encode("cp1252")).text == text


def test_without_the_detector_cp1252_is_taken(monkeypatch):
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    assert decode("Møllers café “here”".encode("cp1252")).text == "Møllers café “here”"
    assert decode(b"M\xf8ller\x81").note == "damaged as cp1252: 1 × \ufffd in it"


def test_utf8_with_bad_bytes_keeps_all_else():
    data = "# Müller’s Übersicht\n".encode() + b"\x93broken\x94" + " ☃ 日本語\n".encode()
    decoded = decode(data)
    assert decoded.text == "# Müller’s Übersicht\n\ufffdbroken\ufffd ☃ 日本語\n"
    assert decoded.note == "damaged as utf-8: 2 × \ufffd in it"
    assert decode("Die Brücke ".encode() + b"\x93 steht").text == "Die Brücke \ufffd steht"
    assert decode("Мост через реку".encode()[:-1]).text == "Мост через рек\ufffd"


@pytest.mark.parametrize(
    "data",
    [b"\x89PNG\r\n\x1a\n" + bytes(40), b"\x7fELF" + bytes(60), b"\x00\x01", bytes(5)],
    ids=["png", "elf", "two", "zeros"],
)
def test_binary_is_refused(data):
    with pytest.raises(Unreadable, match=r"^binary$"):
        decode(data)


def test_random_bytes_are_refused():
    import random

    draw = random.Random(3)
    for _ in range(100):
        with pytest.raises(Unreadable):
            decode(draw.randbytes(200))


def test_one_nul_in_a_long_text_is_no_binary():
    assert decode(b"a,b\n" * 100 + b"\x00\n").text.endswith("\x00\n")


def test_errors_are_one_line_that_names_the_file(tmp_path):
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(InputError, match=r"picture\.txt: binary; give a text file$"):
        read_text(tmp_path / "picture.txt")
    with pytest.raises(InputError, match=r"none\.txt: No such file or directory; give a file"):
        read_text(str(tmp_path / "none.txt"))
    with pytest.raises(InputError, match="Is a directory"):
        read_text(tmp_path)
    with pytest.raises(InputError, match=r"^a\\x00b: no path"):
        read_text("a\x00b")
    with pytest.raises(InputError, match=r"^~nobodyatall/x: no path"):
        read_text("~nobodyatall/x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_in_every_encoding(tmp_path, encoding):
    path = tmp_path / "x.json"
    path.write_bytes('{"city": "Zürich"}\r\n'.encode(encoding))
    assert read_json(path) == {"city": "Zürich"}
    assert read_json_lines(path) == [(1, {"city": "Zürich"})]


def test_json_errors_name_file_line_and_reason(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": }\r\n')
    with pytest.raises(InputError, match=r"q\.jsonl, line 3: no JSON \(Expecting value"):
        read_json_lines(path)
    for text in ("", "[1,]", "[" * 100_000, "1" * 5000, "{'a': 1}"):
        with pytest.raises(InputError, match=r"^here: no JSON \(") as caught:
            json_value(text, "here")
        assert "\n" not in str(caught.value)


def test_json_lines_end_at_cr_and_lf_only():
    text = '{"a": "x\u2028y\x85z"}\r{"a": 2}\n\ufeff{"a": 3}\r\n \t\n\ufeff\n'
    assert list(json_lines(text, "here")) == [
        (1, {"a": "x\u2028y\x85z"}),
        (2, {"a": 2}),
        (3, {"a": 3}),
    ]


def test_names_are_shown_in_one_printable_line():
    assert printable(os.fsdecode(b"caf\xe9 menu.txt")) == r"caf\xe9 menu.txt"
    assert printable("a\nb\u2028c\ud83d") == r"a\x0ab\u2028c\ud83d"
    assert printable(Path("Zürich 東京 🙂.md")) == "Zürich 東京 🙂.md"


def test_lone_surrogates_become_the_replacement_character():
    assert encodable("a\ud83d") == "a\ufffd"
    assert encodable("\ud83d\ude42!") == "🙂!"
    assert encodable("\ude42\ud83d") == "\ufffd\ufffd"
    assert is_encodable("🙂")
    assert not is_encodable("\udc80")


def test_prompts_for_routing_with_a_mark_and_odd_line_ends(tmp_path):
    from gptoss_magic.studies.routing import read

    rows = '{"prompt":"hi there"}\r\n{"prompt":"bye\u2028then"}\r\n\r\n{"text":"plain"}\r\n'
    path = tmp_path / "bom.JSONL"
    path.write_text(f"\ufeff{rows}", encoding="utf-8", newline="")
    assert read(path) == ["hi there", "bye\u2028then", "plain"]
    path.write_bytes(f"{rows}{{".encode("utf-16"))
    with pytest.raises(InputError, match=r"bom\.JSONL, line 5: no JSON"):
        read(path)
    lines = tmp_path / "prompts.txt"
    lines.write_bytes("Où est la forêt ?\rNîmes\u0085\r\n".encode("utf-16"))
    assert read(lines) == ["Où est la forêt ?", "Nîmes\x85"]


def test_probe_prompts_of_a_persona_in_any_encoding(tmp_path):
    from gptoss_magic.studies.persona import read_prompts

    path = tmp_path / "prompts.txt"
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        path.write_bytes("Où est la forêt ?\r\n\r\nAt the café\r\n".encode(encoding))
        assert read_prompts(str(path), {}) == ["Où est la forêt ?", "At the café"]
    path.write_bytes(bytes(40))
    with pytest.raises(InputError, match=r"prompts\.txt: binary; give a text file"):
        read_prompts(str(path), {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_persona_file_in_any_encoding(tmp_path, encoding):
    from gptoss_magic.agents.persona_file import parse_persona

    path = tmp_path / "poet.md"
    path.write_bytes('---\r\nstyle: "naïve – è"\r\n---\r\nBe “kind”, Zoë.\r\n'.encode(encoding))
    persona = parse_persona(read_text(path).text, "poet")
    assert persona.character.style == "naïve – è"
    assert persona.text == "Be “kind”, Zoë."


def test_half_characters_of_a_persona_are_replaced():
    from gptoss_magic.agents.persona_file import parse_persona

    persona = parse_persona('---\nstyle: "a\\ud83d"\n---\nb\ud83d', "poet")
    assert (persona.character.style, persona.text) == ("a\ufffd", "b\ufffd")
    assert is_encodable(persona.source)
