"""A tokenizer in a folder, scripted servers, and a session that holds none of them afterwards."""

import pytest

import gptoss_magic
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_tokenizer
from tests.serving.remote.wire_server import WireServer


@pytest.fixture(scope="session")
def codec():
    return HarmonyCodec(tiny_tokenizer())


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch, tmp_path):
    """No model, and no tokenizer of this machine's caches."""
    monkeypatch.setenv("GPTOSS_MAGIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    current().unload()
    yield
    current().unload()


@pytest.fixture
def serve():
    """A server of `answer`, until the test is over."""
    servers = []

    def start(answer):
        servers.append(WireServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def joined(serve, tokenizer):
    """Connect to a server of a kind that reads tokens; the server."""

    def join(kind, **how):
        server = serve(kind)
        gptoss_magic.connect(server.url, tokenizer=tokenizer, **how)
        return server

    return join
