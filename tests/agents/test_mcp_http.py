"""MCP over streamable HTTP: the SDK's own server in a child process, and what is none."""

import http.server
import os
import signal
import socket
import sys
import threading

import pytest

from gptoss_magic.agents.links import Address, Program
from gptoss_magic.agents.servers import Server
from gptoss_magic.errors import InputError
from gptoss_magic.magics.mcp import linked, name_of, read, start
from gptoss_magic.scripted import calling, saying
from gptoss_magic.session import current
from tests.tool_cases import ran, served

TOKEN = "s3cret-t0ken"
ALLOWED = lambda tool, arguments, note: None  # noqa: E731


@pytest.fixture(scope="module")
def url():
    with served(TOKEN) as url:
        yield url


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    return "MY_TOKEN"


@pytest.fixture
def server(url, token):
    made = Server(Address(url, {"Authorization": token}))
    yield made
    made.close()
    assert not made._thread.is_alive()  # noqa: SLF001


def tool_of(server, name):
    return next(made for made in server.tools() if made.name == name)


def test_its_tools_are_called_with_consent_alone(server, url):
    tools = server.tools()
    assert [made.name for made in tools] == ["add", "say_it", "fail", "wait"]
    assert {(made.policy, made.origin) for made in tools} == {("ask", f"MCP server {url}")}
    script = [
        calling("add", '{"first": 2, "second": 3}'),
        calling("say-it", '{"text": "a"}'),
        calling("fail", "{}"),
        saying("ok"),
    ]
    answer, _ = ran(script, tools, ALLOWED)
    assert [step.outcome for step in answer.steps] == ["result", "result", "error"]
    assert [step.result for step in answer.steps[:2]] == ["5", "a < |call| >"]
    answer, _ = ran([script[0], saying("ok")], tools)
    assert answer.steps[0].outcome == "refused"


def test_limits_and_stop_reach_its_calls(server):
    wait = tool_of(server, "wait")
    script = [calling("wait", '{"seconds": 600}'), saying("ok")]
    answer, _ = ran(script, [wait], ALLOWED, call_seconds=0.3)
    assert answer.steps[0].outcome == "timeout"
    press_stop(0.3)
    answer, _ = ran(script, [wait], ALLOWED)
    assert answer.finish == "interrupt"


def press_stop(seconds):
    threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT)).start()


def test_a_server_that_dies_is_an_error_of_its_tool(capfd):
    with served() as url:
        server = Server(Address(url))
        add = tool_of(server, "add")
    script = [calling("add", '{"first": 2, "second": 3}'), saying("ok")]
    answer, _ = ran(script, [add], ALLOWED, call_seconds=20)
    assert answer.steps[0].outcome == "error"
    server.close()
    assert "Traceback" not in "".join(capfd.readouterr())


class Strange(http.server.BaseHTTPRequestHandler):
    """A web server that is no MCP server; what it answers is told by the path."""

    def do_POST(self):
        status = int(self.path.strip("/"))
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>Hello</h1>")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def strange():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def silent():
    """A URL whose server takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"


def refusal(link):
    with pytest.raises(InputError) as caught:
        Server(link)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert TOKEN not in said
    assert caught.value.__context__ is None  # a group there would be printed at full length
    return said


def test_what_gives_no_tools_is_said_in_one_line(url, strange, capfd, monkeypatch):
    monkeypatch.setenv("WRONG", "wrong-value")
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    assert "no tools from there: All connection attempts failed" in refusal(
        Address(f"http://127.0.0.1:{port}/mcp")
    )
    for link in (Address(url), Address(url, {"Authorization": "WRONG"})):
        assert "HTTP 401: it wants a token: --token VARIABLE" in refusal(link)
    assert "HTTP 404: no MCP server is there" in refusal(Address(f"{strange}/404"))
    assert "HTTP 500" in refusal(Address(f"{strange}/500"))
    assert "Unexpected content type: text/html" in refusal(Address(f"{strange}/200"))
    shown = "".join(capfd.readouterr())
    assert "Traceback" not in shown
    assert "wrong-value" not in shown


def test_a_silent_server_is_waited_for_no_longer_than_said(silent):
    assert "no answer within 0.5 s" in refusal(Address(silent, start_s=0.5))
    press_stop(0.3)
    with pytest.raises(KeyboardInterrupt):
        Server(Address(silent))
    press_stop(0.3)
    with pytest.raises(KeyboardInterrupt):
        Server(Program([sys.executable, "-c", "import time; time.sleep(600)"]))
    assert not [t for t in threading.enumerate() if "_work" in t.name]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ftp://x/y"], "give an http or https URL"),
        (["http://"], "give an http or https URL"),
        (["http://[x/"], "give an http or https URL"),
        (["http://x:99999/"], "give an http or https URL"),
        (["https://me:pw@x.org/mcp"], "no password in the URL"),
        (["--token", "MY_TOKEN", "http://x.org/mcp"], "give https"),
        (["--token", TOKEN, "https://x.org/mcp"], "not its value"),
        (["--header", "X-Key", "https://x.org/mcp"], "not its value"),
        (["--header", "X Key=A", "https://x.org/mcp"], "X-Api-Key=MY_KEY"),
        (["--token", "MY_TOKEN", "python"], "for a URL"),
        (["https://x.org/mcp", "--yes"], "before the URL"),
        (["https://x.org/mcp"], "nobody can be asked"),
        (["--token", "UNSET", "http://localhost:1/mcp"], "no such environment variable"),
        (["--token", "ODD", "http://localhost:1/mcp"], "no header's value"),
    ],
)
def test_a_line_that_cannot_be_is_one_line_without_the_token(words, says, token, monkeypatch):
    monkeypatch.setenv("ODD", f"{TOKEN}\nX: y")
    with pytest.raises(InputError) as caught:
        start(words, None)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert TOKEN not in str(caught.value)
    assert current().servers == {}


def asked(*words):
    link, question = linked(read(list(words)))
    return name_of(link), question


def test_this_machine_is_reached_unasked_and_another_is_not(token):
    for local in ("127.0.0.1:8000", "localhost", "[::1]:80", "127.9.9.9"):
        assert asked(f"http://{local}/mcp")[1] == ""
    for other in ("localhost.evil.org", "127.0.0.1.nip.io", "0.0.0.0", "10.0.0.1", "2130706433"):
        assert "not on this machine" in asked(f"https://{other}/mcp")[1]
    name, question = asked("--token", token, "https://mcp.deepwiki.com/mcp")
    assert name == "deepwiki"
    assert "sending Authorization from $MY_TOKEN" in question
    assert TOKEN not in question


def test_a_server_is_used_by_its_name_and_its_token_shows_nowhere(url, token, capsys):
    start(["--as", "far", "--token", token, url], None)
    try:
        server = current().servers["far"]
        answer, _ = ran(
            [calling("add", '{"first": 2, "second": 3}'), saying("Five.")], server.tools(), ALLOWED
        )
        assert answer.steps[0].result == "5"
        assert url in repr(answer.provenance)
        assert TOKEN not in repr(answer)
        assert "server far: tools add, say_it, fail, wait" in capsys.readouterr().out
    finally:
        current().servers.pop("far").close()
