"""What goes wrong on the way: what came is kept, in one line, and the token goes nowhere else."""

import json
import os
import signal
import threading

import pytest

import gptoss_magic
from gptoss_magic.errors import InputError, ServerError
from gptoss_magic.scripted import saying
from gptoss_magic.serving.remote.address import ServerAddress
from gptoss_magic.serving.remote.client import Client
from gptoss_magic.serving.remote.events import server_events
from gptoss_magic.serving.remote.refusals import RemoteFault
from gptoss_magic.session import current
from tests.serving.remote.kinds import BY_MESSAGES, BY_TOKENS, ids_of
from tests.serving.remote.wire_server import DROP, HANG, head, missing, page, reply, sse, streamed

ASK = {"temperature": 0.0, "max_tokens": 400, "date": "2026-01-01"}
KINDS = {**BY_TOKENS, **BY_MESSAGES}
LONG = saying("A long answer that is never heard to its end.", "Some thought.")


class Broken:
    """A kind whose next answers are `faults`, one after the other, once it is `on`."""

    def __init__(self, kind):
        self.kind, self.faults, self.is_on = kind, [], False

    def __call__(self, asked):
        is_answer = asked.method == "POST" and "tokenize" not in asked.path
        if is_answer and self.faults:
            return self.faults.pop(0)(asked)
        return self.kind(asked)


def after(number, ending):
    """So many events of an answer, then `ending`."""

    def around(pieces):
        for place, piece in enumerate(pieces):
            if place == number:
                yield ending
                return
            yield piece

    return around


@pytest.fixture
def pauses(monkeypatch):
    """The seconds that were waited between tries; nobody waits."""
    waited = []
    monkeypatch.setattr("gptoss_magic.serving.remote.client.SLEEP", waited.append)
    return waited


@pytest.fixture
def broken(serve, codec, tokenizer, pauses):
    """Connect to a server of a kind that breaks later."""

    def join(name="vllm", spoken=LONG):
        kind = KINDS[name](codec, (lambda prompt: ids_of(codec, spoken)))
        if name in BY_MESSAGES:
            kind.say = lambda body: spoken
        fragile = Broken(kind)
        fragile.server = serve(fragile)
        how = {"tokenizer": tokenizer} if name in BY_TOKENS else {}
        gptoss_magic.connect(fragile.server.url, **how)
        return fragile

    return join


@pytest.mark.parametrize("name", KINDS)
def test_a_dropped_connection_keeps_what_came(name, broken):
    fragile = broken(name)
    fragile.kind.around = after(14, DROP)
    answer = gptoss_magic.generate("Well?", **ASK, conversation="c")
    assert answer.finish == "interrupt"
    assert answer.analysis.startswith("Som")
    assert len(answer.raw_tokens) >= 10
    note = answer.provenance["server"]["note"]
    assert note.startswith(fragile.server.url)
    assert f"{len(answer.raw_tokens)} tokens came and are kept" in note
    fragile.kind.around = lambda pieces: pieces
    assert gptoss_magic.generate("And?", **ASK, conversation="c").finish == "return"


@pytest.mark.parametrize("name", KINDS)
def test_an_answer_that_just_ends_is_cut_off(name, broken):
    fragile = broken(name)
    fragile.kind.around = after(14, lambda: None)
    answer = gptoss_magic.generate("Well?", **ASK)
    assert answer.finish == "interrupt"
    assert "the connection ended before the answer did" in answer.provenance["server"]["note"]


def test_what_was_not_begun_is_asked_again(broken, pauses):
    fragile = broken()
    fragile.faults = [
        lambda asked: reply({"error": {"message": "loading"}}, 503, Retry_After="3"),
        lambda asked: reply({"detail": "slow down"}, 429),
        lambda asked: streamed([DROP]),
    ]
    assert gptoss_magic.generate("Well?", **ASK).final == LONG[-1].content
    assert pauses == [3.0, 1.0, 2.0]


def test_a_server_that_asks_for_a_long_pause_is_not_waited_for(broken, pauses):
    fragile = broken()
    fragile.faults = [lambda asked: reply({"message": "busy"}, 503, Retry_After="3600")]
    with pytest.raises(ServerError, match="HTTP 503: busy; it asks to come back in 3600 s"):
        gptoss_magic.generate("Well?", **ASK)
    assert pauses == []


def test_what_cannot_pass_is_not_asked_again(broken, pauses):
    fragile = broken()
    fragile.faults = [lambda asked: reply({"error": {"message": "bad\nprompt"}}, 400)] * 2
    with pytest.raises(ServerError, match=r"HTTP 400: bad prompt$"):
        gptoss_magic.generate("Well?", **ASK)
    assert (len(fragile.faults), pauses) == (1, [])


ODD = [
    (lambda asked: page(), "HTTP 502: an HTML page: a proxy, or another service"),
    (lambda asked: [head(200, "text/html") + b"<html>Log in</html>"], "answered with"),
    (lambda asked: streamed([sse("{no json")]), "no JSON: {no json"),
    (lambda asked: streamed([sse("[1, 2]")]), "no JSON object came"),
    (lambda asked: streamed([sse({"error": {"message": "out of memory", "code": 400}})]), "memory"),
    (lambda asked: streamed([b'error: {"code": 400, "message": "old way"}\n\n']), "old way"),
    (lambda asked: [b"SSH-2.0-OpenSSH_9\r\n"], "what came is no HTTP"),
    (lambda asked: [b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000], "what came is no HTTP"),
    (lambda asked: [b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 200], "what came is no HTTP"),
    (lambda asked: streamed([sse({"choices": [{"token_ids": ["x"]}]})]), "are no token ids"),
    (lambda asked: streamed([sse({"choices": [{"token_ids": [-1]}]})]), "are no token ids"),
    (lambda asked: missing(), "HTTP 404: Not Found"),
    (lambda asked: streamed([sse({"choices": "none"})]), "another shape than such a server's"),
    (lambda asked: streamed([sse({"choices": [5]})]), "another shape than such a server's"),
    (lambda asked: streamed([sse({"choices": [{"token_ids": [1 << 40]}]})]), "are no token ids"),
]


@pytest.mark.parametrize(("answer", "says"), ODD)
def test_odd_answers_are_one_line(answer, says, broken):
    fragile = broken()
    fragile.faults = [answer] * 4
    with pytest.raises(ServerError) as caught:
        gptoss_magic.generate("Well?", **ASK, conversation="c")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert "c" not in current().conversations


def test_a_line_without_end_is_given_up(broken, monkeypatch):
    monkeypatch.setattr("gptoss_magic.serving.remote.events.MAX_BYTES", 100_000)
    fragile = broken()
    fragile.faults = [lambda asked: streamed(b"x" * 10_000 for _ in range(100))]
    with pytest.raises(ServerError, match="came without an end"):
        gptoss_magic.generate("Well?", **ASK)


def test_an_error_in_mid_answer_keeps_what_came(broken):
    fragile = broken()
    events = list(fragile.kind.events(fragile.kind.say([]), "stop", 3))[:5]
    events.append(sse({"error": {"message": "CUDA out of memory", "type": "x", "code": 500}}))
    fragile.faults = [lambda asked: streamed(events)]
    answer = gptoss_magic.generate("Well?", **ASK)
    assert len(answer.raw_tokens) == 5
    note = answer.provenance["server"]["note"]
    assert note == "CUDA out of memory: 5 tokens came and are kept"


@pytest.mark.parametrize("name", KINDS)
def test_an_interrupt_hangs_up(name, broken):
    fragile = broken(name)
    fragile.kind.around = after(14, HANG)
    heard = []

    def on_delta(delta):
        heard.append(delta.text)
        if len(heard) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    answer = gptoss_magic.generate("Well?", **ASK, on_delta=on_delta)
    assert answer.finish == "interrupt"
    assert answer.analysis.startswith("S")
    assert fragile.server.hung_up.wait(10)


def test_an_interrupt_ends_the_wait_for_a_first_token(broken):
    fragile = broken()
    fragile.kind.around = after(0, HANG)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    answer = gptoss_magic.generate("Well?", **ASK)
    assert (answer.finish, answer.raw_tokens) == ("interrupt", ())
    assert fragile.server.hung_up.wait(10)


def test_a_redirection_is_not_followed_with_the_token(serve, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "s3cret")
    thief = serve(lambda asked: reply({"data": []}))
    asked = lambda asked: [head(307, Location=f"{thief.url}/v1/models", Content_Length=0)]  # noqa: E731
    server = serve(asked)
    with pytest.raises(ServerError, match=r"HTTP 307 sends to .*not followed") as caught:
        gptoss_magic.connect(server.url, token_env="SOME_TOKEN")
    assert thief.url in str(caught.value)
    assert thief.asked == []
    assert server.asked[0].headers["authorization"] == "Bearer s3cret"


def test_a_token_shows_nowhere(serve, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "s3cret")
    server = serve(lambda asked: reply({"error": f"bad {asked.headers['authorization']}"}, 401))
    with pytest.raises(ServerError, match="HTTP 401: bad Bearer …; it wants a token") as caught:
        gptoss_magic.connect(server.url, token_env="SOME_TOKEN")
    assert "s3cret" not in str(caught.value)
    assert current().loaded is None


WRONG = [
    ("localhost:8000", {}, "give an http or https URL"),
    ("ftp://localhost", {}, "give an http or https URL"),
    ("http://", {}, "give an http or https URL"),
    ("http://localhost:0", {}, "give an http or https URL"),
    ("http://localhost:99999", {}, "give an http or https URL"),
    ("http://local host", {}, "give an http or https URL"),
    ("http://localhost/?key=1", {}, "give an http or https URL"),
    ("https://user:pass@example.org", {}, "no user or password in a URL"),
    ("http://example.org", {"token_env": "SOME_TOKEN"}, "over http a token can be read"),
    ("http://127.0.0.1.example.org", {"token_env": "SOME_TOKEN"}, "over http a token"),
    ("http://localhost:1", {"token_env": "NO_SUCH_TOKEN"}, "no such environment variable"),
    ("http://localhost:1", {"token_env": "sk-123.456"}, "variable's name, not its value"),
    ("http://127.0.0.1:1", {}, "refused"),
]


@pytest.mark.parametrize(("url", "how", "says"), WRONG)
def test_addresses_that_cannot_be(url, how, says, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "s3cret")
    with pytest.raises((InputError, ServerError)) as caught:
        gptoss_magic.connect(url, **how)
    assert says in str(caught.value)
    assert "pass@" not in str(caught.value)
    assert "sk-123" not in str(caught.value)
    assert current().loaded is None


def test_routes_are_left_out_of_an_address():
    urls = ("", "/", "/v1", "/v1/", "/v1/chat/completions", "/v1/models", "/api/chat", "/api")
    assert {ServerAddress(f"http://h:1{url}").root for url in urls} == {"http://h:1"}
    assert ServerAddress("https://h/proxy/v1").prefix == "/proxy"
    assert ServerAddress("http://[::1]:8").is_local


def test_a_server_that_drips_is_left(serve):
    server = serve(lambda asked: [b"HTTP/1.1 200 OK\r\n", HANG])
    client = Client(ServerAddress(server.url), answer_s=0.5)
    with pytest.raises(RemoteFault):
        client.get("/v1/models")
    slow = serve(lambda asked: [head(200, Content_Length=10), b"{", HANG])
    with pytest.raises(RemoteFault):
        Client(ServerAddress(slow.url), answer_s=0.5).get("/v1/models")
    assert server.hung_up.wait(10)
    assert slow.hung_up.wait(10)


ODD_MODELS = [
    {"data": [{"id": 5, "parent": []}]},
    {"data": "none"},
    {"data": [None, 3, {"id": ""}]},
    [],
    "text",
    {"data": [{"id": "a", "max_model_len": "many", "meta": 3, "owned_by": ["vllm"]}]},
]


@pytest.mark.parametrize("models", ODD_MODELS)
def test_odd_lists_of_models(models, serve):
    def answer(asked):
        return reply(models) if asked.path == "/v1/models" else reply([1, {"a": None}])

    with pytest.raises((InputError, ServerError)) as caught:
        gptoss_magic.connect(serve(answer).url)
    assert "\n" not in str(caught.value)
    assert current().loaded is None


def test_events_cut_anywhere_and_ended_in_every_way():
    text = "\ufeffdata: Привет 🙂\r\n\r\n: ping\revent: x\ndata:a\rdata: b\n\r\ndata: c\n\n"
    whole = f"{text}id: 3\n\ndata: [DONE]".encode()
    for size in (1, 2, 3, 5, 1000):
        chunks = [whole[n : n + size] for n in range(0, len(whole), size)]
        events = [(one.name, one.data) for one in server_events(chunks)]
        assert events == [("", "Привет 🙂"), ("x", "a\nb"), ("", "c"), ("", "[DONE]")]


def test_halves_of_a_character_and_lone_ones(codec, serve):
    kind = BY_MESSAGES["plain"](codec, lambda body: LONG)

    def halves(messages):
        for piece in ("a\ud83d", "\ude42b", "\ud83d"):
            yield sse(json.dumps(kind.chunk({"content": piece})))
        yield sse(kind.chunk({}, "stop"))
        yield sse("[DONE]")

    kind.events = halves
    server = serve(kind)
    gptoss_magic.connect(server.url)
    answer = gptoss_magic.generate("half \ud83d of one", **ASK)
    assert answer.final == "a🙂b\ufffd"
    assert server.asked[-1].body["messages"][-1]["content"] == "half \ufffd of one"
