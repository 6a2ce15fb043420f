"""Others' clients and tools against the endpoint: each is a process of its own packages."""

import json
import re

import pytest

from gptoss_magic.session import current

pytestmark = pytest.mark.slow

HELLO = "Hello from Paris."
APIS = ("responses", "chat")


def last(said):
    return json.loads(said.splitlines()[-1])


def test_openai_agents_hand_over_and_call(peers, script, service):
    said = last(peers.run("agents_sdk.py", on=service))
    for api in APIS:
        one = said[api]
        assert [one[name] for name in ("whole", "streamed", "again")] == [HELLO] * 3
        assert one["agent"] == "Forecaster"
        assert {"HandoffOutputItem", "ToolCallOutputItem", "ReasoningItem"} <= set(one["items"])
    assert any("Солнце в Paris" in text for text in script.prompt_texts)


def test_haystack_s_openai_generators(peers, script, service):
    said = last(peers.run("haystack_wire.py", on=service))
    call = ["weather", {"city": "Paris"}]
    for api in APIS:
        assert said[api] == {"call": call, "text": HELLO, "streamed": HELLO}


def test_inspect_scores_three_samples_with_a_tool(peers, script, service, tmp_path):
    said = last(peers.run("inspect_eval.py", tmp_path, on=service))
    for api in APIS:
        assert said[api]["status"] == "success", said[api]["error"]
        assert said[api]["roles"] == ["user", "assistant", "tool", "assistant"]
        assert said[api]["accuracy"] == 1


def test_llama_index_openai_like(llama_peers, script, service):
    said = last(llama_peers.run("llama_index_wire.py", on=service))
    for api in APIS:
        assert said[api] == {
            "whole": HELLO,
            "streamed": HELLO,
            "tool": "Солнце в Paris",
            "calls": 1,
        }


def test_litellm(llama_peers, script, service):
    said = last(llama_peers.run("litellm_wire.py", on=service))
    for provider in ("openai", "hosted_vllm"):
        assert json.loads(said[provider].pop("call")) == {"city": "Paris"}
        assert said[provider] == {
            "text": HELLO,
            "streamed": HELLO,
            "thought": "The user greets.",
        }
    assert said["responses"] == {
        "text": HELLO,
        "kinds": ["response.created", "response.completed"],
    }


def test_lm_eval_scores_as_the_engine_does(peers, service, tmp_path):
    said = last(peers.run("lm_eval_tasks.py", tmp_path, on=service))
    engine, codec = current().local_engine, current().codec
    for number, scores in enumerate(said["scores"]):
        prompt = codec.encode(f"Сколько будет {number} + 1?\nОтвет:")
        wanted = [sum(engine.score(prompt, codec.encode(f" {c}"))) for c in (number + 1, "сто")]
        assert scores == pytest.approx(wanted, abs=1e-3)
    assert said["results"]["tiny_choice"]["acc,none"] == 1
    assert len(said["said"]) == 3


def test_schemathesis_finds_no_fault_of_the_server(peers, script, service, wire, tmp_path):
    made = peers.command(
        peers.python.with_name("st"),
        "run",
        f"{wire.root}/openapi.json",
        "--header",
        f"Authorization: Bearer {service.token}",
        "--checks",
        "not_a_server_error",
        "--max-examples",
        "150",
        "--seed",
        "7",
        "--report",
        "ndjson",
        "--report-dir",
        tmp_path,
        cwd=tmp_path,
    )
    numbers = [int(n) for n in re.findall(r"(\d+) generated", made)]
    assert sum(numbers) >= 2000, made[-2000:]
