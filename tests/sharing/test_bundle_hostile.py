"""Foreign bundles: what is wrong is one line, nothing is written, nothing leaves the folder."""

import json
import os.path
import random
import shutil
import stat
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.sharing.bundle import archive
from gptoss_magic.sharing.bundle.check import check_bundle
from gptoss_magic.sharing.bundle.pack import share
from gptoss_magic.sharing.bundle.paths import Names, check_paths, path_fault, safe_name
from gptoss_magic.sharing.bundle.unpack import open_bundle
from tests.bundle_cases import answered, contents, listed, tensors, write, zipped


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The files of a good bundle."""
    folder = tmp_path_factory.mktemp("good")
    book = write(folder / "заметки.ipynb", answered())
    share(folder / "good.zip", book, consent=lambda plan: True)
    return contents(folder / "good.zip")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def with_file(path, data=b"x"):
    return lambda files: listed({**files, path: data})


def manifest_with(**more):
    def change(files):
        manifest = json.loads(files["bundle.json"])
        manifest.update(more)
        return {**files, "bundle.json": json.dumps(manifest).encode()}

    return change


def part(**more):
    about = {"kind": "persona", "name": "p", "digest": "", "path": "", "note": ""}
    return manifest_with(parts=[{**about, **more}])


def without(name):
    return lambda files: {path: data for path, data in files.items() if path != name}


def raw(data):
    return lambda files: {**files, "bundle.json": data}


PATHS = [
    ("../evil.ipynb", "leads elsewhere"),
    ("adapters/../../evil", "leads elsewhere"),
    ("/etc/cron.d/x", "is absolute"),
    ("C:/Windows/x", "is absolute"),
    ("c:evil.ipynb", "is absolute"),
    ("..\\evil.ipynb", "backslash"),
    ("\\\\server\\share", "backslash"),
    ("adapters//x", "leads elsewhere"),
    ("personas/con.md", "device"),
    ("personas/COM1.md", "device"),
    ("personas/LPT¹.md", "device"),
    ("personas/aux .md", "device"),
    ("personas/a\u202e.md", "character"),
    ("personas/a\n.md", "character"),
    ("personas/a.md:stream", "character"),
    ("personas/a.md.", "blank or a dot"),
    ("personas/" + "a" * 300 + ".md", "too long"),
    (".ssh/authorized_keys", "none of a bundle's"),
    ("sitecustomize.py", "none of a bundle's"),
    ("adapters/a/adapter_model.bin", "none of a bundle's"),
    ("adapters/a/pytorch_model.pt", "none of a bundle's"),
    ("startup/00.py", "none of a bundle's"),
    ("inner.zip", "another zip"),
]
CHANGED = [
    (without("bundle.json"), "there is no bundle.json"),
    (without("packages.txt"), "listed or there"),
    (lambda files: {**files, "personas/p.md": b"x"}, "listed or there"),
    (lambda files: {**files, "packages.txt": b"evil==1\n"}, "size or SHA-256"),
    (raw(b"{" * 100_000), "no JSON"),
    (raw(b"\xff\xfe"), "no UTF-8"),
    (raw(b"[]"), "no version"),
    (raw(random.Random(1).randbytes(17_000_000)), "larger than"),
    (manifest_with(version=True), "no version"),
    (manifest_with(version=99), "version 99"),
    (manifest_with(notebook="../x.ipynb"), "not in the bundle"),
    (manifest_with(notebook=5), "'notebook' is missing"),
    (manifest_with(machine=None), "no object"),
    (manifest_with(files={}), "no list"),
    (manifest_with(files=[{"path": "x", "size": -1, "sha256": "0" * 64}]), "that is none"),
    (manifest_with(files=[{"path": "x", "size": 1.5, "sha256": "0" * 64}]), "'size'"),
    (manifest_with(parts=[None]), "no object"),
    (part(kind="code"), "no kind"),
    (part(path="../../home"), "not where it says"),
    (part(path="packages.txt"), "not where it says"),
    (with_file("personas/p.md", b"---\nrun: rm\n---\n"), "no persona"),
    (with_file("personas/p.md", b"\xff\xff"), "no persona"),
    (with_file("presets/p.json", b"[1]"), "no JSON object"),
    (with_file("adapters/a/adapter_config.json", b"no"), "no JSON"),
    (with_file("adapters/a/adapter_model.safetensors", b"\x80\x04\x95pickle"), "no safetensors"),
    (with_file("adapters/a/adapter_model.safetensors", b"\xff" * 20), "no safetensors"),
    (with_file("adapters/a/adapter_model.safetensors", struct.pack("<Q", 4) + b"{[[["), "no JSON"),
    (with_file("indexes/i/sources/a.txt", b"PK\x03\x04more"), "another zip"),
    (with_file("заметки.ipynb", b"{}"), "no list of cells"),
    (with_file("заметки.ipynb", b'{"cells": ['), "no JSON"),
]


def refused(bundle, says, folder):
    """Opened and checked: one line each, and nothing beside the bundle is there afterwards."""
    before = names(folder)
    for action in (lambda: open_bundle(bundle, folder / "out"), lambda: check_bundle(bundle)):
        with pytest.raises(InputError) as error:
            action()
        assert says in str(error.value)
        assert len(str(error.value).splitlines()) == 1
    assert names(folder) == before


@pytest.mark.parametrize(("path", "says"), PATHS, ids=[repr(p[:20]) for p, _ in PATHS])
def test_a_path_that_leads_elsewhere_is_refused(good, tmp_path, path, says):
    refused(zipped(tmp_path / "bad.zip", with_file(path)(good)), says, tmp_path)


@pytest.mark.parametrize(
    ("change", "says"), CHANGED, ids=[f"{n}-{s}" for n, (_, s) in enumerate(CHANGED)]
)
def test_what_is_no_bundle_is_refused(good, tmp_path, change, says):
    refused(zipped(tmp_path / "bad.zip", change(good)), says, tmp_path)


@pytest.mark.parametrize(
    "pair",
    [
        ("personas/a.md", "personas/A.md"),
        ("personas/é.md", "personas/e\u0301.md"),
        ("personas/ß.md", "personas/ss.md"),
        ("indexes/i/sources/a", "indexes/I/sources/b"),
        ("indexes/i/sources/a", "indexes/i/sources/a/b"),
    ],
)
def test_paths_that_some_system_takes_for_one_are_refused(good, tmp_path, pair):
    text = b"Be kind."
    files = listed({**good, **dict.fromkeys(pair, text)})
    refused(zipped(tmp_path / "bad.zip", files), "in it", tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_link_or_a_device_is_refused(good, tmp_path, kind):
    bad = zipped(tmp_path / "bad.zip", good, external_attr=(kind | 0o777) << 16)
    refused(bad, "a link or a device", tmp_path)


def test_a_zip_that_is_packed_otherwise_or_encrypted_is_refused(good, tmp_path):
    refused(zipped(tmp_path / "a.zip", good, zipfile.ZIP_LZMA), "packed in a way", tmp_path)
    data = bytearray(zipped(tmp_path / "b.zip", good).read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    (tmp_path / "b.zip").write_bytes(data)
    refused(tmp_path / "b.zip", "encrypted", tmp_path)


def test_a_file_that_is_there_twice_is_refused(good, tmp_path):
    bad = zipped(tmp_path / "bad.zip", good)
    with zipfile.ZipFile(bad, "a") as opened, pytest.warns(UserWarning, match="Duplicate"):
        opened.writestr("packages.txt", b"x")
    refused(bad, "one path", tmp_path)


def test_bombs_are_refused_before_they_are_unpacked(good, tmp_path, monkeypatch):
    bomb = {**good, "indexes/i/sources/zeros": bytes(50_000_000)}
    refused(zipped(tmp_path / "a.zip", listed(bomb)), "zip bomb", tmp_path)
    many = {f"indexes/i/sources/{n}": b"" for n in range(archive.MAX_FILES)}
    refused(zipped(tmp_path / "b.zip", listed({**good, **many})), "files in it", tmp_path)
    monkeypatch.setattr(archive, "MAX_BYTES", 100)
    refused(zipped(tmp_path / "c.zip", good), "at most are opened", tmp_path)


def test_sizes_that_lie_are_found(good, tmp_path):
    """The central directory says less than there is, or more."""
    for size in (1, 1 << 30):
        data = bytearray(zipped(tmp_path / "a.zip", good, zipfile.ZIP_STORED).read_bytes())
        at = data.index(b"PK\x01\x02")
        data[at + 24 : at + 28] = struct.pack("<I", size)
        (tmp_path / "a.zip").write_bytes(data)
        refused(tmp_path / "a.zip", "", tmp_path)


def test_overlapping_files_are_refused(good, tmp_path):
    data = bytearray(zipped(tmp_path / "a.zip", good, zipfile.ZIP_STORED).read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 28] = struct.pack("<II", 5_000_000, 5_000_000)
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", "overlap", tmp_path)


def test_a_bundle_cut_anywhere_or_with_a_wrong_byte_is_one_line(good, tmp_path):
    whole = zipped(tmp_path / "a.zip", good).read_bytes()
    for size in range(0, len(whole), 97):
        (tmp_path / "a.zip").write_bytes(whole[:size])
        refused(tmp_path / "a.zip", "", tmp_path)
    for at in range(60, len(whole) - 30, 211):
        broken = bytearray(whole)
        broken[at] ^= 0x55
        (tmp_path / "a.zip").write_bytes(broken)
        with suppress(InputError):  # a time of day may be another one: no other error comes
            check_bundle(tmp_path / "a.zip")


@pytest.mark.parametrize(
    "data", [b"", b"no zip", b"PK\x05\x06" + bytes(18), b"#!/bin/sh\nPK\x03\x04"]
)
def test_what_is_no_zip_is_one_line(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", "it is no zip", tmp_path)
    refused(tmp_path / "none.zip", "no such file", tmp_path)
    refused(tmp_path, "no such file", tmp_path)


def test_nothing_is_written_over(good, tmp_path):
    bundle = zipped(tmp_path / "a.zip", good)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for place in ("out", "link", "a.zip"):
        with pytest.raises(InputError, match="something is there"):
            open_bundle(bundle, tmp_path / place)
    assert (tmp_path / "out" / "mine").read_text() == "kept"
    assert names(tmp_path / "out") == ["mine"]


def test_folders_of_another_zip_program_are_no_harm(good, tmp_path):
    files = {"indexes/": b"", **good}
    book = open_bundle(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert book.read_bytes() == good["заметки.ipynb"]
    assert not (tmp_path / "out" / "indexes").exists()


def test_what_it_holds_is_unpacked_without_rights_to_run(good, tmp_path):
    adapter = {
        "adapters/a/adapter_config.json": b"{}",
        "adapters/a/adapter_model.safetensors": tensors(),
    }
    bundle = zipped(tmp_path / "a.zip", listed({**good, **adapter}), external_attr=0o100777 << 16)
    open_bundle(bundle, tmp_path / "out")
    for file in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        assert not file.stat().st_mode & 0o111


def test_a_full_disk_or_an_interrupt_leaves_nothing(good, tmp_path, monkeypatch):
    bundle = zipped(tmp_path / "a.zip", good)
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda place: usage)
        with pytest.raises(StorageError, match="the disk has 10 B"):
            open_bundle(bundle, tmp_path / "out")
    read = archive.Archive.checked_blocks

    def interrupted(self, file):
        yield from read(self, file)
        if (list(tmp_path.glob(".out-*")),)[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(archive.Archive, "checked_blocks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_bundle(bundle, tmp_path / "out")
    assert names(tmp_path) == ["a.zip"]


PIECES = st.sampled_from(
    [
        "..",
        ".",
        "",
        "/",
        "\\",
        "C:",
        "~",
        "a",
        "personas",
        "con",
        "A",
        "é",
        "e\u0301",
        " ",
        "\x00",
        "．．",
    ]
)
ANY_PATH = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=6).map("/".join))


@given(ANY_PATH)
def test_no_path_that_is_taken_can_leave_the_folder(path):
    if path_fault(path):
        return
    place = os.path.normpath(f"/room/{path}")
    assert Path("/room") in Path(place).parents
    assert "\\" not in path
    assert ":" not in path


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_name_becomes_a_safe_one_of_its_own(wanted):
    given_names = Names()
    paths = [given_names.free("indexes/i/sources/", name) for name in wanted]
    check_paths(paths)
    assert all(path_fault(safe_name(name)) == "" for name in wanted)
