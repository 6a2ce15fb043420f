"""`--store` of indexes and memories in a real shell: Faiss on disk, Weaviate on loopback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.memory import Memory, folder
from gptoss_magic.retrieval.store import home
from gptoss_magic.retrieval.stores import named
from tests.shell_cells import clean_session, new_shell, run
from tests.weaviate_server import weaviate_server

pytest.importorskip("faiss", reason="pip install gptoss_magic[faiss]")


@pytest.fixture(scope="module")
def bare():
    yield new_shell()
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(bare, tmp_path, monkeypatch):
    with clean_session(monkeypatch, tmp_path / "data"):
        yield bare
        named.close_all()


@pytest.fixture
def docs(tmp_path):
    files = tmp_path / "docs"
    files.mkdir()
    (files / "cats.md").write_text("# Cats\n\nA cat sleeps fifteen hours a day.\n")
    (files / "dogs.md").write_text("# Dogs\n\nA dog barks at the postman.\n")
    return files


def refused(shell, line):
    """What a line that fails says, in one line."""
    error = run(shell, line)[0].error_in_exec
    assert isinstance(error, InputError | StorageError), error
    assert "\n" not in str(error)
    return str(error)


def test_an_index_in_faiss_from_the_first_line_to_the_last(shell, docs, tmp_path):
    place = tmp_path / "vectors"
    _, shown = run(shell, f"%gptoss index '{docs}' --store 'faiss:{place}'")
    assert "index docs: 2 files · 2 of them new or changed: 2 chunks" in shown
    assert sorted(path.name for path in (place / "docs").glob("*.faiss"))
    _, shown = run(shell, "%gptoss search docs how long does a cat sleep -K 1")
    assert "[1] cats.md · Cats · lines 1–3" in shown
    assert "postman" in run(shell, "%gptoss search docs barks -W 'kind = \"markdown\"' -K 1")[1]
    assert "where 'size > 1'" in refused(shell, "%gptoss search docs x -W 'size > 1'")
    assert "keeps no earlier versions" in refused(shell, "%gptoss search docs x --at 1")
    shown = run(shell, "%gptoss index list")[1]
    assert "faiss" in shown
    info = run(shell, "%gptoss index info docs")[1]
    assert f"folder         faiss:{place}\n" in info
    assert "chunks         2\n" in info
    (docs / "cats.md").write_text("# Cats\n\nA cat purrs.\n")
    (docs / "dogs.md").unlink()
    assert (
        "1 of them new or changed: 1 chunk · 1 removed"
        in run(shell, "%gptoss index refresh docs")[1]
    )
    assert "purrs" in run(shell, "%gptoss search docs cat -K 1")[1]
    assert Index.open("docs").search("postman")[0].source == f"{docs}/cats.md"
    run(shell, "%gptoss index optimize docs")
    assert "keeps no earlier versions" in refused(shell, "%gptoss index versions docs")
    assert "index docs: closed" in run(shell, "%gptoss index close docs")[1]
    assert "not open here" in run(shell, "%gptoss index close docs")[1]
    assert "dropped" in run(shell, "%gptoss index drop docs")[1]
    assert not (place / "docs").exists()
    assert "no index yet" in run(shell, "%gptoss index list")[1]


def test_an_index_moves_from_store_to_store_with_its_vectors(shell, docs, tmp_path):
    place = tmp_path / "vectors"
    run(shell, f"%gptoss index '{docs}' --as first")
    shown = run(shell, f"%gptoss index copy first second --store 'faiss:{place}'")[1]
    assert "index second: 2 chunks of first" in shown
    assert "index third: 2 chunks of second" in run(shell, "%gptoss index copy second third")[1]
    first, second, third = (Index.open(name) for name in ("first", "second", "third"))
    for query in ("how long does a cat sleep", "postman"):
        texts = [[one.text for one in index.search(query)] for index in (first, second, third)]
        assert texts[0] == texts[1] == texts[2]
    assert first.known() == second.known() == third.known()
    assert "0 of them new or changed" in run(shell, "%gptoss index refresh third")[1]
    assert "there is one; give another name" in refused(shell, "%gptoss index copy first third")
    named.forget("second")
    named.close_all()
    line = f"%gptoss index copy first second --store 'faiss:{place}'"
    assert "has second already" in refused(shell, line)
    assert Index.create("second", store=f"faiss:{place}").known() == first.known()
    assert "no such index" in refused(shell, "%gptoss index copy none fourth")
    run(shell, f"%gptoss index '{docs}' --as words -E words")
    line = f"%gptoss index copy words fifth --store 'faiss:{place}'"
    assert "give an embedder" in refused(shell, line)
    assert not (place / "fifth").exists()


def test_a_name_leads_to_one_place(shell, docs, tmp_path):
    place = tmp_path / "vectors"
    for given in ("faiss:", "faiss", "pinecone:x", "x"):
        assert "give faiss:PATH, chroma:PATH or weaviate:URL" in refused(
            shell, f"%gptoss index '{docs}' --store {given}"
        )
    run(shell, f"%gptoss index '{docs}'")
    assert "there is one in LanceDB" in refused(
        shell, f"%gptoss index '{docs}' --store 'faiss:{place}'"
    )
    run(shell, f"%gptoss index '{docs}' --as near --store 'faiss:{place}'")
    assert f"there is one, at faiss:{place}" in refused(
        shell, f"%gptoss index '{docs}' --as near --store 'faiss:{place}2'"
    )
    assert "give a name without a folder" in refused(
        shell, f"%gptoss index '{docs}' --as ./x/near --store 'faiss:{place}'"
    )
    assert "such a store holds vectors" in refused(
        shell, f"%gptoss index '{docs}' --as w -E words --store 'faiss:{place}'"
    )
    assert "made with wordllama-256" in refused(shell, f"%gptoss index '{docs}' --as near -E words")
    (home() / "near.store").write_text("{}")
    assert "near.store does not say where the store is" in refused(shell, "%gptoss search near x")
    shown = run(shell, "%gptoss index list")[1]
    assert "docs" in shown
    assert "does not say where" in shown
    (home() / "near.store").unlink()
    shown = run(shell, f"%gptoss index --store 'faiss:{place}' --as near")[1]
    assert "chunks         2\n" in shown
    assert "give paths" in refused(shell, f"%gptoss index --store 'faiss:{place}'")


def test_a_second_kernel_is_told_who_holds_the_store(shell, docs, tmp_path):
    run(shell, f"%gptoss index '{docs}' --store 'faiss:{tmp_path}/vectors'")
    code = (
        "from gptoss_magic.errors import StorageError\n"
        "from gptoss_magic.retrieval.index import Index\n"
        "try:\n    print(Index.open('docs').search('cat')[0].text)\n"
        "except StorageError as error:\n    print(error)\n"
    )

    def other():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return done.stdout

    assert "which is for one process at a time" in other()
    run(shell, "%gptoss index close docs")
    assert "A cat sleeps" in other()
    assert "cats.md" in run(shell, "%gptoss search docs cat -K 1")[1]


def test_an_index_on_a_server(shell, docs):
    with weaviate_server() as (url, server):
        shown = run(shell, f"%gptoss index '{docs}' --store weaviate:{url}")[1]
        assert "2 chunks" in shown
        assert len(server.objects["Gptoss_docs"]) == 2
        assert "cats.md" in run(shell, "%gptoss search docs how long does a cat sleep -K 1")[1]
        assert "reads no SQL" in refused(shell, "%gptoss search docs x -W 'kind = 1'")
        shown = run(shell, "%gptoss index copy docs here")[1]
        assert "2 chunks of docs" in shown
        run(shell, "%%gptoss_persona spy\n---\nrag: docs\n---\nYou are a spy.")
        num = len(server.asked)
        run(shell, "%gptoss persona use spy")
        assert "say so yourself: --rag docs" in refused(shell, "%%gptoss\nWhat do cats do?")
        assert len(server.asked) == num
        run(shell, "%gptoss persona use none")
        assert "dropped" in run(shell, "%gptoss index drop docs")[1]
        assert server.classes == {}


def test_a_memory_moves_to_a_store_and_back(shell, tmp_path):
    run(shell, "%gptoss memory note 'My cat is called Miso.'")
    run(shell, "%gptoss memory note 'I live in Lyon.'")
    shown = run(shell, f"%gptoss memory on --store 'faiss:{tmp_path}/kept'")[1]
    assert "2 items in faiss:" in shown
    assert f"it lies in faiss:{tmp_path}/kept" in run(shell, "%gptoss memory")[1]
    assert not (folder() / "none.lance").exists()
    found = run(shell, "%gptoss memory recall what is the cat called")[1]
    assert "Miso" in found
    assert "Lyon" not in found
    key = run(shell, "%gptoss memory note The walrus is called Otto")[1].split()[1]
    assert "Otto" in run(shell, f"%gptoss memory show {key}")[1]
    assert "changed" in run(shell, f"%gptoss memory edit {key} 'The seal is called Emil.'")[1]
    assert "Emil" in run(shell, "%gptoss memory recall the seal")[1]
    assert not holding(tmp_path / "kept", b"Otto")
    assert "1 forgotten" in run(shell, f"%gptoss memory forget {key}")[1]
    assert not holding(tmp_path / "kept", b"Emil")
    assert "Emil" not in run(shell, "%gptoss memory list")[1]
    assert "2 items in lancedb" in run(shell, "%gptoss memory on --store lancedb")[1]
    assert not holding(tmp_path / "kept", b"Miso")
    assert "Miso" in run(shell, "%gptoss memory recall the cat")[1]
    assert "lies in" not in run(shell, "%gptoss memory")[1]


def holding(place, data):
    return [path for path in place.rglob("*") if path.is_file() and data in path.read_bytes()]


def test_an_empty_memory_may_lie_anywhere(shell, tmp_path):
    with weaviate_server() as (url, server):
        assert "0 items" in run(shell, f"%gptoss memory on --store weaviate:{url}")[1]
        memory = Memory("none", "one.ipynb")
        run(shell, "%gptoss memory note 'My cat is called Miso.'")
        assert [item.text for item in memory.items()] == ["My cat is called Miso."]
        assert memory.recall("cat")[0].score > 0.2
        assert Memory("none", "two.ipynb").recall("cat") == []
        assert memory.recall("cat", notebook=None)
        (one,) = server.objects["Gptoss_none"].values()
        assert one["properties"]["notebook"] == "one.ipynb"
        assert "1 forgotten" in run(shell, "%gptoss memory forget --all")[1]
        assert server.objects["Gptoss_none"] == {}
    assert "refused" in refused(shell, "%gptoss memory list")
    assert json.loads((folder() / "none.store").read_text())["store"] == f"weaviate:{url}"
    assert Path(folder() / "none.store").is_file()
