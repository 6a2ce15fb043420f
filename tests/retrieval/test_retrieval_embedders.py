"""Embedders and rerankers: small real models on disk, a real HTTP server, a resident model."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptoss_magic.errors import InputError, NotLoaded, StorageError
from gptoss_magic.retrieval.embedders import WordLlama, embedder_named
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.rerank import reranked, reranker_named

TEXTS = ["a cat sleeps", "", "the postman runs from a dog", "a cat sleeps"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "runs", "sleeps"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder with a random BERT of 16 dimensions."""
    pytest.importorskip("sentence_transformers")
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            num_labels=1,
        )
        BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


class Server(BaseHTTPRequestHandler):
    """Letters counted, in the form of OpenAI's API; the order of the answers is turned round."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), body["model"]))
        reply = self.server.replies.get(body["model"])
        status, said = reply or (200, json.dumps({"data": self.vectors(body["input"])}))
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(said.encode())

    def vectors(self, texts):
        rows = [[1 + text.count(chr(97 + n)) for n in range(26)] for text in texts]
        return [{"index": n, "embedding": row} for n, row in enumerate(rows)][::-1]

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    made.seen, made.replies = [], {}
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_port}/v1"


@pytest.fixture(scope="module")
def wordllama():
    """The package's own model, and ours of the same weights."""
    from pathlib import Path

    import wordllama

    folder = Path(wordllama.__file__).parent
    theirs = wordllama.WordLlama.load(cache_dir=folder, dim=256, disable_download=True)
    return theirs, WordLlama()


PIECES = st.sampled_from(
    ["def f(x):\n    ", "  ", " ", "▁", "<s>", "</s>", "\t", "the dog’s", "🙂"]
)
SAID = st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)).map("".join)


@settings(max_examples=40)
@given(texts=st.lists(SAID, min_size=1, max_size=6))
def test_wordllama_is_what_its_package_gives(wordllama, texts):
    theirs, ours = wordllama
    want = theirs.embed(texts)
    want = want / np.maximum(np.linalg.norm(want, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(ours.embed(texts), want, rtol=0, atol=1e-6)


def check_embedder(embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (4, embedder.dim)
    assert vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-4) | (lengths == 0))
    assert np.allclose(vectors[0], vectors[3], atol=1e-4)
    assert not np.allclose(vectors[0], vectors[2], atol=1e-3)
    assert embedder.embed([]).shape == (0, embedder.dim)


def test_a_sentence_transformers_folder(bert, tmp_path):
    embedder = embedder_named(f"st:{bert}")
    check_embedder(embedder)
    assert embedder.dim == 16
    (tmp_path / "a.txt").write_text("a cat sleeps")
    Index.create(f"{tmp_path}/store/docs", embedder).ingest([str(tmp_path / "a.txt")])
    assert Index.open(f"{tmp_path}/store/docs").search("a cat", 1)[0].text == "a cat sleeps"
    with pytest.raises(InputError, match=r"made with st:.*not words"):
        Index.open(f"{tmp_path}/store/docs", embedder_named("words"))


def test_a_model_that_is_not_there_is_one_line(tmp_path):
    pytest.importorskip("sentence_transformers")
    for make in (embedder_named, reranker_named):
        with pytest.raises(InputError, match="nothing-here") as caught:
            make(f"{'st:' if make is embedder_named else ''}{tmp_path}/nothing-here")
        assert "\n" not in str(caught.value)


def test_a_reranker_orders_anew(bert):
    reranker = reranker_named(str(bert))
    scores = reranker.score("a cat", ["a cat sleeps", "a dog runs"])
    rows = [{"heading": "", "text": "a cat sleeps"}, {"heading": "", "text": "a dog runs"}]
    found = reranked(reranker, "a cat", rows)
    assert [row["score"] for row in found] == sorted(scores, reverse=True)
    assert reranker.score("a cat", []) == []


def test_a_reranker_may_bring_up_any_of_fifty(tmp_path):
    class Longest:
        def score(self, query, texts):
            return [float(len(text)) for text in texts]

    for number in range(12):
        (tmp_path / f"{number}.txt").write_text(f"a cat{' sleeps' * number}")
    index = Index.create(f"{tmp_path}/store/docs", embedder_named("words"))
    index.ingest([str(tmp_path / "*.txt")])
    assert "sleeps" not in index.search("cat", 1)[0].text
    best = index.search("cat", 2, reranker=Longest())
    assert [passage.text.count("sleeps") for passage in best] == [11, 10]


def test_an_endpoint(server, url, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    embedder = embedder_named(f"openai:{url}#letters")
    check_embedder(embedder)
    assert embedder.embed(["x"] * 150).shape == (150, 26)
    assert set(server.seen) == {("/v1/embeddings", "Bearer secret", "letters")}
    assert "secret" not in embedder.name


@pytest.mark.parametrize(
    ("reply", "error", "match"),
    [
        ((500, "out of\norder"), StorageError, "HTTP 500: out of order"),
        ((302, ""), StorageError, "HTTP 302"),
        ((200, "no json"), InputError, "no JSON"),
        ((200, '{"data": 3}'), InputError, "no embeddings"),
        ((200, '{"data": []}'), InputError, "0 vectors for 1 text"),
    ],
)
def test_an_endpoint_that_fails_is_one_line(server, url, reply, error, match):
    server.replies["bad"] = reply
    with pytest.raises(error, match=match) as caught:
        embedder_named(f"openai:{url}#bad")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["openai:", "openai:ftp://x#m", "openai:http://localhost/v1"])
def test_an_endpoint_needs_url_and_model(name):
    with pytest.raises(InputError, match="embedder openai"):
        embedder_named(name)
    with pytest.raises(InputError, match="no password"):
        embedder_named("openai:https://user:pass@host/v1#model")


def test_no_server_is_one_line():
    with pytest.raises(StorageError, match="v1#model"):
        embedder_named("openai:http://127.0.0.1:9/v1#model")


def test_hidden_states():
    from gptoss_magic.studies.hidden_states import HiddenStates
    from gptoss_magic.testing import tiny_model

    model, tokenizer = tiny_model()
    middle = HiddenStates(model, tokenizer, "abc")
    check_embedder(middle)
    assert (middle.name, middle.dim) == ("hidden:middle@abc", 64)
    alone = middle.embed(["a cat sleeps"])[0]
    assert np.allclose(middle.embed(["x" * 300, "a cat sleeps"])[1], alone, atol=1e-4)
    last = HiddenStates(model, tokenizer, "abc", "last")
    assert not np.allclose(last.embed(["a cat sleeps"])[0], alone, atol=1e-3)
    with pytest.raises(InputError, match="hidden:middle or hidden:last"):
        HiddenStates(model, tokenizer, "abc", "first")


def test_hidden_states_need_a_model(monkeypatch):
    from gptoss_magic.session import current
    from gptoss_magic.studies.hidden_states import offer

    offer()
    monkeypatch.setattr(current(), "loaded", None)
    with pytest.raises(NotLoaded):
        embedder_named("hidden:middle")


def test_an_unknown_embedder_names_the_others():
    with pytest.raises(InputError, match="st:MODEL"):
        embedder_named("nothing")
