"""LangChain's standard suite: for `ChatOpenAI` on the endpoint, and for `GptOssChat`."""

import json

import pytest

pytestmark = pytest.mark.slow

# pictures, sounds and files are not read; recorded traffic is the suite's own matter
SKIPPED = {
    "test_pdf_inputs",
    "test_audio_inputs",
    "test_image_inputs",
    "test_image_tool_message",
    "test_pdf_tool_message",
    "test_anthropic_inputs",
    "test_stream_time",
}


def outcomes(said):
    tests = json.loads(said.splitlines()[-1])
    return {name.partition("[")[0] for name in tests.get("skipped", ())}, tests


@pytest.mark.parametrize("way", ["responses", "chat"])
def test_chat_openai_on_the_endpoint(peers, script, service, way):
    skipped, tests = outcomes(peers.run("suite.py", way, on=service))
    assert tests.get("failed", []) == []
    assert skipped == SKIPPED
    assert len(tests["passed"]) >= 40


def test_gptoss_chat_in_process(peers):
    skipped, tests = outcomes(peers.run("suite.py", "in-process", has_ours=True))
    assert tests.get("failed", []) == []
    assert skipped == SKIPPED
    assert len(tests["passed"]) >= 40
