"""Our index in LangChain, LlamaIndex and Haystack, with their real packages.

LangChain's is installed by `make`; the slow test runs the others in the peers' own venv.
"""

import asyncio
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.neighbours import neighbour

ROOT = Path(__file__).parents[2]
PETS = "# Cats\n\nA cat sleeps fifteen hours a day.\n"
BIRDS = "# Birds\n\nA heron wades through shallow water.\n"
ELSEWHERE = (
    "37 more packages, 160 MB: `make test-slow` runs it in the venv of the benchmarks' peers"
)
QUERY = "how long does a cat sleep"


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    """The path of an index of two files."""
    folder = tmp_path_factory.mktemp("bridges")
    for name, text in (("pets.md", PETS), ("birds.md", BIRDS)):
        (folder / name).write_text(text)
    path = str(folder / "indexes" / "docs")
    Index.create(path, embedder_named("words")).ingest([str(folder / "*.md")])
    return path


def expected(docs):
    """What each framework's first result must say: text, metadata, id."""
    source = str(Path(docs).parents[1] / "pets.md")
    place = {"index": docs, "source": source, "heading": "Cats", "first_line": 1, "last_line": 3}
    return PETS.strip(), place, f"{source}#L1-L3"


def test_langchain(docs):
    from gptoss_magic.retrieval.langchain import IndexRetriever

    ours = IndexRetriever(index=docs)
    text, place, name = expected(docs)
    for found in (ours.invoke(QUERY), asyncio.run(ours.ainvoke(QUERY)), ours.batch([QUERY])[0]):
        assert (found[0].page_content, found[0].id) == (text, name)
        assert found[0].metadata.pop("score") > 0
        assert found[0].metadata == place
    chain = ours | (lambda documents: len(documents))
    assert chain.invoke("heron cat") == 2
    assert IndexRetriever(index=docs, k=1).invoke("heron cat")[1:] == []
    birds = IndexRetriever(index=docs, where="heading = 'Birds'").invoke("heron cat")
    assert [d.metadata["heading"] for d in birds] == ["Birds"]
    assert IndexRetriever(index=docs, version=1).invoke(QUERY) == []


def test_langchain_and_back_keeps_the_place(docs):
    from gptoss_magic.retrieval.langchain import IndexRetriever

    (passage,) = neighbour("again", IndexRetriever(index=docs)).search(QUERY, 5)
    (own,) = Index.open(docs).search(QUERY)
    names = ("source", "heading", "first_line", "last_line", "text")
    assert [getattr(passage, n) for n in names] == [getattr(own, n) for n in names]


def test_an_index_that_is_not_there_is_one_line(docs):
    from gptoss_magic.retrieval.langchain import IndexRetriever

    with pytest.raises(InputError, match="there is no such index") as caught:
        IndexRetriever(index=docs + "x").invoke(QUERY)
    assert "\n" not in str(caught.value)


def test_llama_index(docs):
    pytest.importorskip("llama_index.core", reason=ELSEWHERE)
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine

    from gptoss_magic.retrieval.llama_index import IndexRetriever

    ours = IndexRetriever(docs)
    text, place, name = expected(docs)
    for found in (ours.retrieve(QUERY), asyncio.run(ours.aretrieve(QUERY))):
        assert (found[0].node.text, found[0].node.metadata, found[0].node_id) == (text, place, name)
        assert found[0].score > 0
    engine = RetrieverQueryEngine.from_args(ours, llm=MockLLM())
    assert engine.query(QUERY).source_nodes[0].node_id == name
    assert IndexRetriever(docs, version=1).retrieve(QUERY) == []


def test_haystack(docs):
    pytest.importorskip("haystack", reason=ELSEWHERE)
    from haystack import Pipeline

    from gptoss_magic.retrieval.haystack import IndexRetriever

    text, place, name = expected(docs)
    pipeline = Pipeline()
    pipeline.add_component("find", IndexRetriever(docs, k=2, where="number = 0"))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=[IndexRetriever.__module__])
    both = Pipeline()
    both.add_component("find", IndexRetriever.from_dict(IndexRetriever(docs).to_dict()))
    asked = {"find": {"query": QUERY}}
    for done in (pipeline.run(asked), again.run(asked), asyncio.run(both.run_async(asked))):
        (found,) = done["find"]["documents"]
        assert (found.content, found.meta, found.id) == (text, place, name)
        assert found.score > 0
    assert again.get_component("find").to_dict() == pipeline.get_component("find").to_dict()


@pytest.mark.parametrize("name", ["langchain", "llama_index", "haystack"])
def test_a_missing_package_names_its_extra(name):
    """A fresh interpreter that finds none of the three."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('langchain_core', 'llama_index', 'haystack')))\n"
        f"import gptoss_magic.retrieval.{name}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("gptoss_magic.errors.MissingPackage: this retriever needs ")
    assert last.endswith(f"pip install gptoss_magic[{name.replace('_', '-')}]")


@pytest.mark.slow
def test_all_three_in_the_peers_venv():
    """This file again where LlamaIndex and Haystack are; our own packages stand behind theirs."""
    from benchmarks.peers import peers_python

    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]; sys.path += sys.argv[2:]\n"
        "import haystack, llama_index.core, pytest\n"
        "name = 'tests/retrieval/test_retrieval_bridges.py'\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', name]))"
    )
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    done = subprocess.run(
        [peers_python(), "-c", code, str(ROOT), *paths],
        cwd=ROOT,
        env=os.environ | {"HAYSTACK_TELEMETRY_ENABLED": "False"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "skipped" not in done.stdout, done.stdout[-3000:]
    assert "skipped" not in done.stdout
