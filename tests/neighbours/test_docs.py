"""The examples of docs/neighbours.md, run as they stand there."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.neighbours.docs import example, examples

HELLO = "Hello from Paris."
FACT = "sleeps for fifteen hours"
LLAMA = ("LlamaIndex", "litellm")  # the others' packages want openai's newest
MOST_LINES = 12


def test_each_example_is_short_and_there():
    assert len(examples()) == 13
    for name, code in examples().items():
        lines = [line for line in code.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, name


def python_of(name, peers, llama_peers):
    return llama_peers if name in LLAMA else peers


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["LangChain", "LangChain, from an index", "LangGraph", "LlamaIndex", "Haystack"]
)
def test_in_process(peers, llama_peers, tmp_path, name):
    ours = python_of(name, peers, llama_peers)
    *said, prompts = ours.run(
        "run_example.py", name, "tiny", has_ours=True, cwd=tmp_path
    ).splitlines()
    assert HELLO in said[-1]
    if name != "LangChain":
        assert FACT in json.loads(prompts)[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inspect-ai, in process", "lm-eval, in process"])
def test_harnesses_in_process(peers, tmp_path, name):
    *said, prompts = peers.run(
        "run_example.py", name, "tiny", has_ours=True, cwd=tmp_path
    ).splitlines()
    assert HELLO in "\n".join(said)
    assert "Reasoning: low" in json.loads(prompts)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LangChain, from an index", "LlamaIndex", "Haystack"])
def test_the_built_in_model_answers_from_an_index(peers, llama_peers, tmp_path, name):
    ours = python_of(name, peers, llama_peers)
    *said, prompts = ours.run(
        "run_example.py", name, "built-in", has_ours=True, cwd=tmp_path
    ).splitlines()
    assert FACT in json.loads(prompts)[-1]
    assert re.search(r"\b(fifteen|15)\b", "\n".join(said))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openai", "openai-agents", "litellm"])
def test_over_a_port(peers, llama_peers, script, service, tmp_path, name):
    ours = python_of(name, peers, llama_peers)
    source = tmp_path / "example.py"
    source.write_text(example(name))
    assert HELLO in ours.command(ours.python, source, env=environment(service, ours))


@pytest.mark.slow
def test_inspect_ai(peers, script, service, tmp_path):
    (tmp_path / "task.py").write_text(
        "from inspect_ai import Task, task\n"
        "from inspect_ai.dataset import Sample\n"
        "from inspect_ai.scorer import includes\n"
        "@task\n"
        "def hello():\n"
        "    return Task(dataset=[Sample('Hi', target='Paris')], scorer=includes())\n"
    )
    env = environment(service, peers) | {"INSPECT_LOG_FORMAT": "json"}
    peers.command("bash", "-ec", example("inspect-ai"), env=env, cwd=tmp_path)
    (log,) = (tmp_path / "logs").glob("*.json")
    made = json.loads(log.read_text())
    assert made["status"] == "success"
    assert made["results"]["scores"][0]["metrics"]["accuracy"]["value"] == 1


@pytest.mark.slow
def test_lm_eval(peers, service, tmp_path):
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "rows.jsonl").write_text('{"q": "2 + 2 =", "choices": ["4", "100"], "answer": 0}\n')
    (tasks / "choice.yaml").write_text(
        "task: tiny_choice\noutput_type: multiple_choice\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {tasks}/rows.jsonl}}}}\ntest_split: test\n"
        "doc_to_text: q\ndoc_to_choice: choices\ndoc_to_target: answer\n"
    )
    said = peers.command(
        "bash", "-ec", example("lm-eval"), env=environment(service, peers), cwd=tmp_path
    )
    assert "|tiny_choice|" in said


def environment(service, ours):
    """What the examples over a port find in theirs."""
    from tests.neighbours.conftest import QUIET

    known = {"OPENAI_BASE_URL": service.url, "OPENAI_API_KEY": service.token}
    path = f"{Path(ours.python).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **QUIET, **known, "PATH": path}
