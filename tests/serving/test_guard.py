"""Who may come in, and what a caller that does not play by the rules gets."""

import re
import socket
import time

import pytest

from gptoss_magic.serving import guard, patience


def spoken(service, request):
    """What the server says to raw bytes: one whole answer."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as caller:
        caller.sendall(request)
        return answer_to(caller)


def answer_to(caller):
    """One answer, or what there is of it when the server closes."""
    said = b""
    while piece := caller.recv(65536):
        said += piece
        head, ends, body = said.partition(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if ends and size and len(body) >= int(size[1]):
            break
    return said


def header(service, host=None, token=None, more=""):
    host = host if host is not None else f"127.0.0.1:{service.port}"
    key = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\n{key}{more}\r\n".encode()


@pytest.mark.parametrize("token", [None, "wrong", "a-token-of-test", "ключ"])
def test_without_the_token_nobody_comes_in(service, token):
    said = spoken(service, header(service, token=token))
    assert said.startswith(b"HTTP/1.1 401")
    assert b"invalid_api_key" in said


@pytest.mark.parametrize("kind", ["Basic", "Token", ""])
def test_the_token_is_a_bearer_s(wire, kind):
    status, body = wire.send(
        "/v1/models", headers={"Authorization": f"{kind} {wire.headers['Authorization'][7:]}"}
    )
    assert status == 401
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "0.0.0.0"])
def test_another_host_is_refused_whatever_the_token(service, host):
    said = spoken(service, header(service, host=host, token=service.token))
    assert said.split(b" ", 2)[1] in (b"421", b"400")
    assert b'"data"' not in said


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1"])
def test_this_machine_by_its_other_names(service, host):
    said = spoken(service, header(service, host=f"{host}:{service.port}", token=service.token))
    assert said.startswith(b"HTTP/1.1 200")


def test_health_needs_no_token_and_says_no_more_than_that(service):
    said = spoken(service, header(service).replace(b"/v1/models", b"/health"))
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b'{"status":"ok"}')


def test_a_body_of_100_mb_is_refused_and_the_next_request_answered(service, wire):
    announced = header(service, token=service.token, more="Content-Length: 100000000\r\n")
    said = spoken(service, announced.replace(b"GET /v1/models", b"POST /v1/responses"))
    assert said.startswith(b"HTTP/1.1 413")
    assert wire.send("/v1/models")[0] == 200


def test_chunks_without_an_end_are_refused(service, wire, monkeypatch):
    monkeypatch.setattr(guard, "MOST_BYTES", 10_000)
    request = header(service, token=service.token, more="Transfer-Encoding: chunked\r\n")
    request = request.replace(b"GET /v1/models", b"POST /v1/responses")
    said = spoken(
        service,
        request
        + b"1000\r\n"
        + b"x" * 4096
        + b"\r\n1000\r\n"
        + b"x" * 4096
        + b"\r\n1000\r\n"
        + b"x" * 4096
        + b"\r\n",
    )
    assert said.startswith(b"HTTP/1.1 413")
    assert wire.send("/v1/models")[0] == 200


def test_a_body_that_does_not_come_is_not_waited_for(service, monkeypatch):
    monkeypatch.setattr(guard, "BODY_S", 0.3)
    request = header(service, token=service.token, more="Content-Length: 50\r\n")
    said = spoken(service, request.replace(b"GET /v1/models", b"POST /v1/responses") + b"{")
    assert said.startswith(b"HTTP/1.1 408")


def test_a_header_that_comes_letter_by_letter_is_not_waited_for(service, wire, monkeypatch):
    monkeypatch.setattr(patience, "HEADER_S", 0.3)
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as caller:
        caller.sendall(b"GET /v1/models HT")
        assert caller.recv(100) == b""  # closed
    assert wire.send("/v1/models")[0] == 200


def test_a_second_header_on_the_same_connection_is_not_waited_for_either(service, monkeypatch):
    monkeypatch.setattr(patience, "HEADER_S", 0.5)
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as caller:
        caller.sendall(header(service, token=service.token))
        assert answer_to(caller).startswith(b"HTTP/1.1 200")
        caller.sendall(b"GET /v1")
        assert caller.recv(100) == b""


def test_a_connection_may_rest_between_two_requests(service, monkeypatch):
    """Clients keep theirs in a pool; one that is closed under them is an error of the next call."""
    monkeypatch.setattr(patience, "HEADER_S", 0.3)
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as caller:
        for _ in range(2):
            caller.sendall(header(service, token=service.token))
            assert answer_to(caller).startswith(b"HTTP/1.1 200")
            time.sleep(0.6)


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "GET"])
def test_other_methods_are_refused_and_no_origin_is_let_in(wire, method):
    status, _, headers = wire.raw(
        "/v1/responses", method=method, headers={"Origin": "https://evil.example"}
    )
    assert status == 405
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"model": 1e999999}',
     b'{"model": "base", "input": ' + b"9" * 5000 + b"}"],
    ids=range(9),
)  # fmt: skip
@pytest.mark.parametrize("path", ["responses", "chat/completions", "completions"])
def test_a_body_that_is_none_is_one_line(wire, path, body):
    status, said = wire.send(f"/v1/{path}", body)
    assert status == 400
    assert "\n" not in said["error"]["message"]


def test_unknown_routes_and_models_are_404_in_openai_s_form(wire):
    for path, body in (
        ("/v1/nothing", None),
        ("/v1/models/other", None),
        ("/v1/responses/resp_none", None),
        ("/v1/responses", {"model": "gpt-4o", "input": "Hi"}),
        ("/v1/chat/completions", {"model": "base+nobody", "messages": []}),
        ("/v1/completions", {"model": "base@nobody", "prompt": "x"}),
    ):
        status, said = wire.send(path, body)
        assert status == 404, path
        assert set(said["error"]) == {"message", "type", "param", "code"}


def test_stopped_its_port_is_free_at_once(service):
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 8
    with socket.create_server(("127.0.0.1", service.port)):
        pass
