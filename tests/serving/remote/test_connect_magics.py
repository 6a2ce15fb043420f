"""The magics on a server: maps in parallel, tools, personas, grids, and what a notebook shows."""

import os
import signal
import threading

import pandas as pd
import pytest

import gptoss_magic
from gptoss_magic.errors import ServerError
from gptoss_magic.scripted import calling, saying
from gptoss_magic.session import current
from gptoss_magic.turns.many import answer_all, for_prompts
from tests.serving.remote.kinds import BY_MESSAGES, BY_TOKENS, ids_of
from tests.serving.remote.wire_server import DROP, HANG, reply
from tests.shell_cells import new_shell, run

ASK = {"temperature": 0.0, "max_tokens": 300, "date": "2026-01-01"}
KINDS = {**BY_TOKENS, **BY_MESSAGES}


def question(codec, asked):
    """The last line of what a server is asked, by tokens or messages."""
    if isinstance(asked, dict):
        return asked["messages"][-1]["content"]
    return codec.decode(asked).rpartition("<|message|>")[2].partition("<|end|>")[0]


@pytest.fixture
def echoing(serve, codec, tokenizer):
    """Connect to a server that says each question again."""

    def join(name, **how):
        def say(asked):
            said = saying(f"You said {question(codec, asked)}.", "Hm.")
            return said if isinstance(asked, dict) else ids_of(codec, said)

        kind = KINDS[name](codec, say, **how)
        server = serve(kind)
        gptoss_magic.connect(server.url, tokenizer=tokenizer if name in BY_TOKENS else "")
        server.kind = kind
        return server

    return join


def frame_of(count):
    return pd.DataFrame({"n": range(count)})


@pytest.mark.parametrize("name", KINDS)
def test_a_map_asks_many_rows_at_once(name, echoing, tmp_path):
    server, gate = echoing(name), threading.Barrier(6, timeout=20)
    server.kind.around = lambda pieces: [gate.wait, *pieces]  # six are open, or none ends
    frame = frame_of(24)
    done = gptoss_magic.map(frame, "row {{ n }}", batch=6, journal=tmp_path, **ASK)
    assert (done.done, done.failed) == (24, 0)
    assert frame.answer.tolist() == [f"You said row {n}." for n in range(24)]
    assert server.most_open <= 7
    again = gptoss_magic.map(frame, "row {{ n }}", batch=6, journal=tmp_path, **ASK)
    assert again.kept == 24


@pytest.mark.parametrize("name", ["vllm", "plain"])
def test_a_row_that_fails_is_that_row_s_alone(name, echoing, codec, tmp_path):
    server = echoing(name)
    answer, is_broken = server.answer, True

    def fragile(asked):
        body = asked.body
        text = question(codec, body.get("prompt") or body) if "stream" in body else ""
        if is_broken and text == "row 3":
            return reply({"error": {"message": "too hot"}}, 400)
        if is_broken and text == "row 5":
            return [*list(answer(asked))[:8], DROP]
        return answer(asked)

    server.answer = fragile
    frame = frame_of(8)
    done = gptoss_magic.map(frame, "row {{ n }}", journal=tmp_path, **ASK)
    assert (done.done, done.failed) == (8, 2)
    assert frame.answer_error[3].endswith("HTTP 400: too hot")
    assert "came and are kept" in frame.answer_error[5]
    is_broken = False
    again = gptoss_magic.map(frame, "row {{ n }}", journal=tmp_path, **ASK)
    assert (again.kept, again.failed) == (6, 0)
    assert frame.answer[5] == "You said row 5."


def test_a_server_that_is_gone_ends_a_map(echoing, codec, tmp_path, monkeypatch):
    monkeypatch.setattr("gptoss_magic.serving.remote.client.SLEEP", lambda seconds: None)
    server = echoing("vllm")
    answer, seen = server.answer, []

    def leaving(asked):
        seen.append(question(codec, asked.body["prompt"]))
        return reply({"error": "unauthorized"}, 401) if len(seen) > 4 else answer(asked)

    server.answer = leaving
    frame = frame_of(12)
    with pytest.raises(ServerError, match=r"HTTP 401.*; 4 of 12 rows are done and stay") as caught:
        gptoss_magic.map(frame, "row {{ n }}", batch=1, journal=tmp_path, **ASK)
    assert "\n" not in str(caught.value)
    server.answer = answer
    assert gptoss_magic.map(frame, "row {{ n }}", journal=tmp_path, **ASK).kept == 4


def test_an_interrupt_ends_every_row(echoing, tmp_path):
    server = echoing("vllm")
    answer, heard = server.answer, []

    def some(asked):
        heard.append(asked)
        return answer(asked) if len(heard) < 4 else [*list(answer(asked))[:12], HANG]

    server.answer = some
    frame = frame_of(12)

    def on_row(done, _total, _tokens):
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    done = gptoss_magic.map(frame, "row {{ n }}", batch=4, journal=tmp_path, on_row=on_row, **ASK)
    assert (done.finish, done.done) == ("interrupt", 3)
    assert server.hung_up.wait(10)
    server.answer = answer
    again = gptoss_magic.map(frame, "row {{ n }}", journal=tmp_path, **ASK)
    assert (again.kept, again.done, again.failed) == (3, 12, 0)


@pytest.mark.parametrize("name", KINDS)
def test_many_whole_answers(name, echoing):
    echoing(name)
    base = gptoss_magic.settle(**ASK)
    answers = answer_all(for_prompts(base, ["a", "b", "c"]))
    assert [one.final for one in answers] == ["You said a.", "You said b.", "You said c."]


@pytest.mark.parametrize("name", ["vllm", "sglang", "llama", "ours"])
def test_tools_run_between_exact_answers(name, serve, codec, tokenizer):
    def say(prompt):
        text = codec.decode(prompt) if not isinstance(prompt[-1], str) else ""
        if "warm in Пермь" in text:
            return ids_of(codec, saying("Тепло."))
        return ids_of(codec, calling("weather", '{"city": "Пермь"}', "Look it up."))

    gptoss_magic.connect(serve(KINDS[name](codec, say)).url, tokenizer=tokenizer)

    def weather(city: str) -> str:
        """The weather."""
        return f"warm in {city}"

    consent = lambda *_: None  # noqa: E731
    answer = gptoss_magic.generate("Погода?", **ASK, tools=[weather], consent=consent)
    assert answer.final == "Тепло."
    assert answer.steps[0].result == "warm in Пермь"


def test_a_conversation_goes_on_in_exact_tokens(echoing):
    server = echoing("vllm")
    first = gptoss_magic.generate("One 🙂", **ASK, conversation="c")
    gptoss_magic.generate("Two", **ASK, conversation="c")
    prompt = server.bodies("/v1/completions")[-1]["prompt"]
    said = [*first.messages[-1].ids]
    assert any(prompt[n : n + len(said)] == said for n in range(len(prompt)))


@pytest.mark.parametrize("name", ["vllm", "plain"])
def test_a_grid_has_likelihoods_where_the_server_gives_them(name, echoing):
    echoing(name)
    axes = gptoss_magic.Axes(effort=("low", "high"))
    cells = list(gptoss_magic.grid("Well?", axes, **ASK))
    assert [cell.answer.final for cell in cells] == ["You said Well?."] * 2
    assert [cell.base for cell in cells] == ([-0.25] * 2 if name == "vllm" else [None] * 2)


def test_a_notebook_shows_what_was_lost(echoing, tokenizer):
    server = echoing("vllm")
    shell = new_shell()
    server.kind.around = lambda pieces: [*list(pieces)[:30], DROP]
    result, text = run(shell, "%%gptoss -t 0 -m 300\nWell?")
    assert result.success
    assert "came and are kept" in text
    _, text = run(shell, "%gptoss status")
    assert "vLLM 0.33.0 at http://127.0.0.1" in text
    _, text = run(shell, "%gptoss lora list")
    assert text.strip() == "none"
    result, _ = run(shell, f"%gptoss connect {server.url}")
    assert "is connected; add --replace to connect" in str(result.error_in_exec)
    result, text = run(shell, f"%gptoss connect {server.url} --tokenizer {tokenizer} --replace")
    assert result.success
    result, _ = run(shell, "%gptoss connect")
    assert "URL" in str(result.error_in_exec)


def test_a_failed_connection_leaves_what_was_there(echoing, serve):
    server = echoing("vllm")
    gptoss_magic.generate("One", **ASK, conversation="c")
    with pytest.raises(ServerError):
        gptoss_magic.connect(serve(lambda asked: reply({}, 500)).url, replace=True)
    assert current().remote.url == server.url
    assert "c" in current().conversations
