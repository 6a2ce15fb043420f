"""A tiny model that is served on a real socket, and a client of it."""

import json
import urllib.error
import urllib.request

import openai
import pytest

import gptoss_magic
from gptoss_magic.scripted import scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from tests.serving.script import answering

TOKEN = "a-token-of-tests"


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "tiny"
    gptoss_magic.load(tiny_checkpoint(folder, max_position_embeddings=4096), context=4096)
    yield
    gptoss_magic.unload()


@pytest.fixture(scope="module")
def servers(resident):
    """What serves, for the tests of a module: ending it takes longer than most of them."""
    up = [gptoss_magic.serve(token=TOKEN)]
    yield up
    for one in up:
        one.stop()


@pytest.fixture
def service(servers):
    """The tiny model's own engine is served, and nobody has asked it yet."""
    if not servers[0].is_up:
        servers[:] = [gptoss_magic.serve(token=TOKEN)]
    servers[0].answers.__init__()
    return servers[0]


@pytest.fixture
def client(service):
    """openai's, which takes nothing of another shape."""
    return openai.OpenAI(
        base_url=service.url,
        api_key=service.token,
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture
def script(resident):
    """A scripted engine in the model's place."""
    with scripted(current(), always=answering) as engine:
        yield engine


class Wire:
    """Requests as bytes, without any client's help."""

    def __init__(self, service):
        self.root = service.url.removesuffix("/v1")
        self.headers = {"Authorization": f"Bearer {service.token}"}

    def send(self, path, body=None, method=None, headers=None):
        """(status, JSON)."""
        status, raw, _ = self.raw(path, body, method, headers)
        return status, json.loads(raw)

    def raw(self, path, body=None, method=None, headers=None):
        """(status, bytes, headers)."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.root + path, data, self.headers | (headers or {}), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def events(self, path, body):
        """The events of a stream, without its end mark."""
        _, raw, _ = self.raw(path, body | {"stream": True})
        pieces = [piece for piece in raw.decode().split("\n\n") if "data: " in piece]
        data = [piece.split("data: ", 1)[1] for piece in pieces]
        assert data[-1] == "[DONE]"
        return [json.loads(one) for one in data[:-1]]


@pytest.fixture
def wire(service):
    return Wire(service)
