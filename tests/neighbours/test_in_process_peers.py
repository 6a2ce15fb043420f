"""`GptOssLLM` and `GptOssChatGenerator`, where LlamaIndex and Haystack are; ours stand behind."""

import json
import subprocess
import sys
import tomllib

import pytest

from tests.neighbours.conftest import ROOT

HARNESSES = {"inspect_ai": "inspect-ai", "lm_eval": "lm-eval", "gpt_oss_evals": "gpt-oss"}
FAULTS = ("text alone", "did you mean temperature", "no messages", "'gpt-4'")


def checked(said):
    """What a script told, but for its faults, which are one line each."""
    told = json.loads(said.splitlines()[-1])
    assert told.pop("asked") == 0
    for fault, words in zip(told.pop("faults"), FAULTS, strict=True):
        assert words in fault
        assert "\n" not in fault
    return told


@pytest.mark.slow
def test_llama_index(llama_peers):
    assert checked(llama_peers.run("llama_index_here.py", has_ours=True)) == {
        "chat": ["Да.", ["ThinkingBlock", "TextBlock"], 3],
        "stream": ["Да.", "Да."],
        "complete": ["Да.", "Да."],
        "tools": [{"city": "Омск"}, "Солнечно.", True],
        "agent": ["Солнечно.", True],
        "cut": "the call of weather has no whole JSON object as its arguments: where it was cut "
        "off, give more max_tokens",
        "form": "Омск",
        "context": 4096,
    }


@pytest.mark.slow
def test_haystack(peers):
    assert checked(peers.run("haystack_here.py", has_ours=True)) == {
        "run": ["Да.", "Думаю.", "Да.", "Да.", "Да."],
        "seed": 3,
        "chunks": "Да.Да.",
        "thoughts": "Думаю." * 2,
        "finish": "stop",
        "tools": [{"city": "Омск"}, "Солнечно.", True],
        "agent": ["Солнечно.", True],
        "deltas": '{"city": "Омск"}',
        "kept": True,
    }


@pytest.mark.slow
def test_harnesses_score_as_our_own_runner_does(peers, tmp_path):
    told = json.loads(peers.run("harnesses_here.py", tmp_path, has_ours=True).splitlines()[-1])
    words = ("model argument colour", "score choices, or generate", "'gpt-4'", "raise max_tokens")
    for fault, part in zip(told.pop("faults"), words, strict=True):
        assert part in fault
    assert told == {
        "ours": 0.65,
        "inspect": 0.65,
        "lm-eval": 0.65,
        "chat": 0.65,
        "parts": ["reasoning", "text"],
        "usage": True,
        "tool": ["user", "assistant", "tool", "assistant"],
        "same tokens": [True] * 6,
        "same prompts": [True] * 6,
        "same texts": True,
        "lm-eval's prompts": [True] * 6,
        "choices": [True, True],
    }


@pytest.mark.parametrize("name", ["langchain", "llama_index", "haystack"])
def test_a_missing_package_names_its_extra(name):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('langchain_core', 'llama_index', 'haystack')))\n"
        f"import gptoss_magic.neighbours.{name}\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("gptoss_magic.errors.MissingPackage: this ")
    assert last.endswith(f"pip install gptoss_magic[{name.replace('_', '-')}]")


@pytest.mark.parametrize("name", HARNESSES)
def test_a_missing_harness_is_named(name):
    theirs = HARNESSES[name].replace("-", "_")
    code = f"import sys\nsys.modules[{theirs!r}] = None\nimport gptoss_magic.neighbours.{name}\n"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("gptoss_magic.errors.MissingPackage: this ")
    assert last.endswith(f"pip install {HARNESSES[name]}")


def test_inspect_finds_the_provider_by_its_entry_point():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    (module,) = known["inspect_ai"].values()
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
