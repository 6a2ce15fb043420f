"""Another kernel's `%gptoss serve` over a real socket: the same tokens as here."""

import os
import signal
import subprocess
import time
import urllib.request

import pandas as pd
import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.turns.grid import likelihoods
from tests.serving.remote.relay import Relay
from tests.shell_cells import new_shell, run
from tests.warm import python

TOKEN = "a-token-of-tests"
ASK = {"temperature": 0.0, "max_tokens": 24, "date": "2026-01-01", "effort": "low"}
WORDS = ("Париж", "a\ttab", "🙂 emoji", "12 * 7", "<|start|> as text", "def f(): pass")
SCHEMA = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
PROMPTS = [f"{WORDS[n % len(WORDS)]} number {n}" for n in range(50)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("remote") / "tiny"))


@pytest.fixture(scope="module")
def local(checkpoint):
    """What the model says here: answers to PROMPTS, a map of 64 rows, a drawn answer."""
    current().unload()
    gptoss_magic.load(checkpoint, context=2048)
    answers = [gptoss_magic.generate(prompt, **ASK) for prompt in PROMPTS]
    drawn = gptoss_magic.generate("Draw.", **{**ASK, "temperature": 1.0}, seed=7, top_k=40)
    likely = likelihoods({"": answers[0]})[""]
    held = gptoss_magic.generate("Well?", **{**ASK, "max_tokens": 60}, schema=SCHEMA)
    gptoss_magic.unload()
    return answers, drawn, likely, held


@pytest.fixture(scope="module")
def served(checkpoint):
    """The URL of a kernel of its own."""
    environment = os.environ | {"SERVED": TOKEN}
    line = [python(), "-m", "gptoss_magic", "serve", checkpoint, "--token-env", "SERVED"]
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True)
    url = ""
    while not url:
        said = process.stdout.readline()
        assert said, "the server did not start"
        url = said.partition("OPENAI_BASE_URL=")[2].strip()
    yield url
    process.send_signal(signal.SIGINT)
    process.wait(20)
    process.stdout.close()


@pytest.fixture
def remote(local, served, checkpoint, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    about = gptoss_magic.connect(served, token_env="MY_TOKEN", tokenizer=checkpoint)
    assert about.endswith(": exact")
    return current().remote


def test_fifty_greedy_answers_are_the_local_ones(remote, local):
    for prompt, here in zip(PROMPTS, local[0], strict=True):
        there = gptoss_magic.generate(prompt, **ASK)
        assert there.raw_tokens == here.raw_tokens
        assert there.finish == here.finish
        assert there.provenance["prompt_tokens"] == here.provenance["prompt_tokens"]
        assert there.logprobs == pytest.approx(here.logprobs, abs=1e-4)


def test_a_drawn_answer_is_drawn_alike(remote, local):
    there = gptoss_magic.generate("Draw.", **{**ASK, "temperature": 1.0}, seed=7, top_k=40)
    assert there.raw_tokens == local[1].raw_tokens


def test_a_given_text_is_scored_alike(remote, local):
    likely = likelihoods({"": local[0][0]})[""]
    assert likely == pytest.approx(local[2], abs=1e-4)


def test_a_map_of_64_rows(remote, local, tmp_path):
    frame = pd.DataFrame({"text": [*PROMPTS, *PROMPTS[:14]]})
    ask = {**ASK, "journal": tmp_path / "journal"}
    done = gptoss_magic.map(frame, "{{ text }}", batch=8, **ask)
    assert (done.rows, done.done, done.finish) == (64, 64, "return")
    journal = pd.concat([pd.read_parquet(f) for f in sorted((tmp_path / "journal").glob("*"))])
    said = journal.sort_values("row").analysis.tolist()
    answers = [*local[0], *local[0][:14]]
    assert said == [answer.analysis for answer in answers]
    again = gptoss_magic.map(frame, "{{ text }}", batch=8, **ask)
    assert again.kept == 64


def num_open(url):
    """Answers that the server works on, by its metrics."""
    request = urllib.request.Request(
        url.removesuffix("/v1") + "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=20) as said:
        lines = said.read().decode().splitlines()
    return next(line for line in lines if line.startswith("gptoss_requests_open")).split()[-1]


def test_an_interrupt_frees_the_server(remote, served):
    def stop(delta):
        os.kill(os.getpid(), signal.SIGINT)

    long = {**ASK, "max_tokens": 1500, "temperature": 1.0, "seed": 3}
    answer = gptoss_magic.generate("Go on for ever.", **long, on_delta=stop)
    assert answer.finish == "interrupt"
    assert len(answer.raw_tokens) < 1500
    while num_open(served) != "0":  # the test's own time limit ends it
        time.sleep(0.05)


@pytest.mark.parametrize("num_bytes", [2000, 6000, 20_000])
def test_a_wire_that_breaks_keeps_what_came_and_frees_the_server(
    local, served, checkpoint, monkeypatch, num_bytes
):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    relay = Relay(served)
    gptoss_magic.connect(relay.url, token_env="MY_TOKEN", tokenizer=checkpoint)
    try:
        relay.left = num_bytes
        long = {**ASK, "max_tokens": 1500, "temperature": 1.0, "seed": 3}
        cut = gptoss_magic.generate("Go on for ever.", **long)
        relay.left = None
        assert cut.finish == "interrupt"
        assert 0 < len(cut.raw_tokens) < 1500
        assert f"{len(cut.raw_tokens)} tokens came and are kept" in cut.provenance["server"]["note"]
        while num_open(served) != "0":  # the test's own time limit ends it
            time.sleep(0.05)
        assert gptoss_magic.generate(PROMPTS[0], **ASK).raw_tokens == local[0][0].raw_tokens
    finally:
        relay.close()


def test_what_needs_the_weights_is_refused_in_one_line(remote):
    asked = [
        ({"routing": True}, "cannot say where tokens go"),
        ({"mask_experts": "0:1"}, "cannot leave out or force experts"),
    ]
    for settings, says in asked:
        with pytest.raises(InputError, match=says) as caught:
            gptoss_magic.generate("Hello", **ASK, **settings)
        assert "\n" not in str(caught.value)
        assert remote.url in str(caught.value)
    for action in (gptoss_magic.bench, lambda: gptoss_magic.score_routing(["a text"])):
        with pytest.raises(InputError, match="answers here, and this needs the model's weights"):
            action()
    with pytest.raises(InputError, match="has its adapters to itself"):
        gptoss_magic.attach("/nowhere")


def test_the_magics_say_what_there_is(local, served, checkpoint, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    shell = new_shell()
    line = f"%gptoss connect {served} --token-env MY_TOKEN --tokenizer {checkpoint}"
    result, text = run(shell, line)
    assert result.success
    assert TOKEN not in text
    assert "tokens in and out" in text
    assert "routing, probes, tuning" in text
    _, text = run(shell, "%gptoss status")
    assert "gptoss_magic 0.1.0 at http://127.0.0.1" in text
    assert "answers        exact" in text
    result, text = run(shell, f"%%gptoss -t 0 -m 24 -e low -d 2026-01-01 -o said\n{PROMPTS[0]}")
    assert result.success
    assert shell.user_ns["said"].raw_tokens == local[0][0].raw_tokens
    refused = (
        "%gptoss routing 'a text of mine'",
        "%gptoss bench",
        "%%gptoss_tune --go\na → b",
        "%%gptoss -R\nHi",
    )
    for cell in refused:
        result, text = run(shell, cell)
        assert "127.0.0.1" in str(result.error_in_exec)
        assert "\n" not in str(result.error_in_exec)
    result, _ = run(shell, f"%gptoss load {checkpoint}")
    assert "is connected; add --replace" in str(result.error_in_exec)
    _, text = run(shell, "%gptoss unload")
    assert text.startswith("disconnected from http://127.0.0.1")


def test_a_server_of_ours_gives_its_tokenizer_and_holds_schemas(local, served, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    about = gptoss_magic.connect(served, token_env="MY_TOKEN")
    assert about.endswith(": exact")
    assert gptoss_magic.generate(PROMPTS[3], **ASK).raw_tokens == local[0][3].raw_tokens
    works = {one.name: one.works for one in current().remote.abilities}
    assert works["schema"]
    there = gptoss_magic.generate("Well?", **{**ASK, "max_tokens": 60}, schema=SCHEMA)
    assert there.raw_tokens == local[3].raw_tokens
