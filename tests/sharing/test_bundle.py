"""A bundle made in one folder by a kernel, opened in another process with another home."""

import json
import os
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import nbclient
import nbformat
import pytest

from gptoss_magic.errors import GptOssError, InputError, StorageError
from gptoss_magic.sharing.bundle import pack
from gptoss_magic.sharing.bundle.pack import share
from gptoss_magic.sharing.records import records_of
from gptoss_magic.testing import tiny_checkpoint
from tests.bundle_cases import answered, code, contents, write
from tests.shell_cells import run, tiny_shell

ATTACH = """
import torch
from gptoss_magic.adapters import Adapter
from gptoss_magic.model.parts import LinearLora
from gptoss_magic.session import current
torch.manual_seed(3)
def part(target, scale=0.3):
    weight = current().resident.model.get_submodule(target).weight
    rows, columns = weight.shape
    return LinearLora(target, scale * torch.randn(4, columns), scale * torch.randn(rows, 4), 1.0)
added = Adapter("sea", (part("model.layers.0.self_attn.q_proj"),))
print(current().shelf.add(added))
"""
CELLS = [
    "%load_ext gptoss_magic\n%gptoss load {model} --context 2048",
    ATTACH,
    "%%gptoss_persona guide\n---\neffort: low\n---\nSpeak of the sea.",
    "%gptoss persona use guide",
    "%gptoss panel --save mine",
    """from pathlib import Path
Path('docs').mkdir()
_ = Path('docs/cats.md').write_text('Cats sleep.')""",
    "%gptoss index docs --as docs -E words",
    "%%gptoss -t 0 -m 12 -a sea\nПривет, море",
    "%%gptoss -t 0 -m 6 --rag docs -n\nCats",
    "import pandas as pd\nrows = pd.DataFrame({'x': ['a', 'b']})",
    "%%gptoss -t 0 -m 4 --map rows\nSay {{ x }}",
]
SHARE = "%gptoss share {out} {book} --index {form}"
OPEN = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import gptoss_magic
from gptoss_magic.session import current
bundle, model = sys.argv[1:]
before = gptoss_magic.check_bundle(bundle)
book = gptoss_magic.open_bundle(bundle, "opened")
assert not current().personas and current().resident is None
gptoss_magic.load(model, context=2048)
gptoss_magic.attach(book.parent / "adapters" / "sea")
after = gptoss_magic.check_bundle(bundle)
done = gptoss_magic.replay(book)
hits = [p.text for p in gptoss_magic.search(f"./opened/indexes/docs/docs", "cats")]
print(json.dumps({
    "home": str(Path.home()), "book": str(book.resolve()), "hits": hits,
    "before": {d.what: d.is_same for d in before}, "after": {d.what: d.is_same for d in after},
    "verdicts": [[one.answer.cell, one.verdict, one.words] for one in done],
}))
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """(folder, checkpoint, what the two share cells said) of a kernel that ran CELLS."""
    folder = tmp_path_factory.mktemp("here")
    model, book, out = tiny_checkpoint(folder / "tiny"), folder / "море.ipynb", folder / "a.zip"
    cells = [nbformat.v4.new_code_cell(cell.replace("{model}", str(model))) for cell in CELLS]
    line = SHARE.format(out=out, book=book, form="whole")
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.resources = {"metadata": {"path": str(folder)}}
    said = []
    with client.setup_kernel():
        for number, cell in enumerate(cells):
            client.execute_cell(cell, number)
        book.write_text(nbformat.writes(notebook), encoding="utf-8")
        asked = f"get_ipython().run_line_magic('gptoss', {line.partition(' ')[2]!r})"
        for last in (
            f"try: {asked}\nexcept OSError: pass\nexcept Exception as e: print(e)",
            f"{line} --yes",
        ):
            notebook.cells.append(nbformat.v4.new_code_cell(last))
            client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
            said.append("".join(o.get("text", "") for o in notebook.cells[-1].outputs))
            if len(said) == 1:
                assert not out.exists()
    return folder, model, said


@pytest.fixture(scope="module")
def elsewhere(shared, tmp_path_factory):
    """What another process, with another home and in another folder, makes of the bundle."""
    folder = tmp_path_factory.mktemp("there")
    homes = {"HOME": "home", "XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config"}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(shared[0] / "a.zip"), str(shared[1])],
        cwd=folder,
        env={**os.environ, **{name: str(folder / place) for name, place in homes.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_nobody_can_be_asked_so_nothing_is_written_without_yes(shared):
    first, second = shared[2]
    assert "nothing is written, as nobody can be asked" in first
    assert "a.zip written (" in second


def test_the_bundle_has_what_the_answers_name(shared):
    files = contents(shared[0] / "a.zip")
    manifest = json.loads(files["bundle.json"])
    parts = {part["kind"]: part for part in manifest["parts"]}
    assert sorted(parts) == ["adapter", "index", "journal", "persona", "preset"]
    assert all(part["path"] for part in parts.values())
    assert "adapters/sea/adapter_model.safetensors" in files
    assert b"Speak of the sea." in files["personas/guide.md"]
    assert "gptoss_magic==" in files["packages.txt"].decode()
    assert files["море.ipynb"] == (shared[0] / "море.ipynb").read_bytes()
    assert not any("tiny" in path for path in files)
    assert [len(model["weights"]) for model in manifest["models"]] == [64]
    assert str(shared[0]) not in files["bundle.json"].decode()


def test_elsewhere_the_records_are_those_shared_and_replay_identical(shared, elsewhere):
    there = json.loads(Path(elsewhere["book"]).read_text(encoding="utf-8"))
    here = json.loads((shared[0] / "море.ipynb").read_text(encoding="utf-8"))
    assert list(records_of(there)) == list(records_of(here))
    assert elsewhere["home"] != str(Path.home())
    verdicts = {cell: verdict for cell, verdict, _ in elsewhere["verdicts"]}
    assert verdicts == dict.fromkeys((8, 9, 11), "identical"), elsewhere["verdicts"]


def test_what_differs_is_told_before_and_after_the_model_is_there(elsewhere):
    before, after = elsewhere["before"], elsewhere["after"]
    assert {before[name] for name in ("weights", "template", "adapter sea", "persona guide")} == {
        False
    }
    assert {after[name] for name in ("weights", "template", "adapter sea", "torch", "python")} == {
        True
    }
    assert after["persona guide"] is False
    assert after["index docs"] is False


def test_the_index_is_searched_where_it_lies(elsewhere):
    assert elsewhere["hits"] == ["Cats sleep."]


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("shell"), 2048) as shell:
        yield shell


def refused(shell, line):
    with pytest.raises(GptOssError) as error:
        shell.run_line_magic("gptoss", line)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_the_magics_from_the_first_line_to_the_last(shell, tmp_path):
    book = write(tmp_path / "a b.ipynb", answered(), code("x = '/home/petrova/x'"))
    out, into = tmp_path / "a.zip", tmp_path / "into"
    assert "nobody can be asked" in refused(shell, f"share {out} '{book}'")
    assert not out.exists()
    _, shown = run(shell, f"%gptoss share {out} '{book}' --yes")
    assert "home path" in shown
    assert "petrova" not in shown
    assert "is there already; --force" in refused(shell, f"share {out} '{book}' --yes")
    run(shell, f"%gptoss share {out} '{book}' --yes --force")
    _, shown = run(shell, f"%gptoss open {out} --check")
    assert "1 recorded answers" in shown
    assert "differs" in shown
    assert "nobody can be asked" in refused(shell, f"open {out} --into {into}")
    assert not into.exists()
    _, shown = run(shell, f"%gptoss open {out} --into {into} --yes")
    assert "nothing of it is attached, kept or run" in shown
    assert (into / "a b.ipynb").read_bytes() == book.read_bytes()
    assert "something is there" in refused(shell, f"open {out} --into {into} --yes")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("share", "required: path"),
        ("share a.tar x.ipynb --yes", "ends in .zip"),
        ("share a.zip --yes", "the front end does not say where it is"),
        ("share a.zip none.ipynb --yes", "no such file"),
        ("share a.zip none.txt --yes", "ends in .ipynb"),
        ("share a.zip x.ipynb --index all", "invalid choice"),
        ("open", "required: path"),
        ("open none.zip", "no such file"),
        ("open none.zip --check --into x", "means nothing beside it"),
    ],
)
def test_a_wrong_line_is_one_line(shell, tmp_path, monkeypatch, line, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert says in refused(shell, line)
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_without_records_is_refused(shell, tmp_path):
    book = write(tmp_path / "a.ipynb", code("1 + 1"))
    assert "no answer of gptoss_magic is recorded" in refused(
        shell, f"share {tmp_path}/a.zip {book} -y"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


def test_an_unsaved_notebook_is_said(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    book = write(tmp_path / "a.ipynb", answered())
    monkeypatch.setenv("JPY_SESSION_NAME", str(book))
    shell.run_cell("later = 1", store_history=True)
    shell.run_cell("pass", store_history=True)  # the cell that a kernel would run the line in
    with pytest.raises(InputError, match="nobody can be asked"):
        shell.run_line_magic("gptoss", "share a.zip")
    _, shown = run(shell, "%gptoss share a.zip --yes")
    assert "what ran later is not in" in shown


def test_what_is_not_here_is_named(tmp_path):
    adapters = [{"name": "sea", "uid": "x", "scale": 1.0, "path": ""}]
    layers = [{"name": "guide", "sha256": "0"}]
    persona = {"name": "guide", "sha256": "0", "layers": layers}
    passages = [{"number": 1, "index": "docs", "source": "a"}, {"index": "s3://b/../x y"}]
    cells = [
        answered("%gptoss panel --load 'my preset'", adapters=adapters, persona=persona),
        answered(passages=passages, map={"rows": 2}, persona={"layers": 5}),
    ]
    plan = share(tmp_path / "a.zip", write(tmp_path / "a.ipynb", *cells))
    named = [(part.kind, part.name) for part in plan.missing]
    assert named == [
        ("adapter", "sea"),
        ("persona", "guide"),
        ("preset", "my preset"),
        ("index", "docs"),
        ("index", "s3://b/../x y"),
        ("journal", "a map's"),
    ]
    manifest = json.loads(contents(tmp_path / "a.zip")["bundle.json"])
    assert all(part["note"] and not part["path"] for part in manifest["parts"])


def test_sources_go_below_their_own_folder(tmp_path, monkeypatch):
    from gptoss_magic.retrieval.script import index

    for name in ("one/a.md", "one/deep/b.md", "two/A.md"):
        (tmp_path / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / name).write_text("# Text\n\nWords.")
    index("docs", tmp_path / "docs")
    book = write(tmp_path / "a.ipynb", answered(passages=[{"index": "docs"}]))
    plan = share(tmp_path / "a.zip", book, index="sources", consent=lambda plan: True)
    held = {path for path in contents(tmp_path / "a.zip") if path.startswith("indexes/")}
    root = "indexes/docs/sources/"
    assert held == {f"{root}one/a.md", f"{root}one/deep/b.md", f"{root}two/A.md"}
    assert "whole " in plan.parts[0].about.note
    plan = share(tmp_path / "b.zip", book, consent=lambda plan: True)
    assert plan.parts[0].about.note.startswith("only its name goes")


def test_a_full_disk_or_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    book = write(tmp_path / "a.ipynb", answered(text=os.urandom(60_000).hex()))
    (tmp_path / "a.zip").write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(StorageError, match="not written"):
            share(tmp_path / "a.zip", book, replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def stop(plan, files):
        raise KeyboardInterrupt

    monkeypatch.setattr(pack, "_manifest", stop)
    with pytest.raises(KeyboardInterrupt):
        share(tmp_path / "a.zip", book, replace=True)
    assert (tmp_path / "a.zip").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ipynb", "a.zip"]


def test_a_bundle_of_one_letter_is_still_opened(tmp_path):
    from gptoss_magic.sharing.bundle.unpack import open_bundle

    book = write(tmp_path / "a.ipynb", answered(text="a" * 11_000_000))
    share(tmp_path / "a.zip", book)
    assert open_bundle(tmp_path / "a.zip", tmp_path / "b").stat().st_size == book.stat().st_size


def test_the_same_things_give_the_same_zip(tmp_path):
    book = write(tmp_path / "a.ipynb", answered())
    for name in ("a.zip", "b.zip"):
        share(tmp_path / name, book)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
