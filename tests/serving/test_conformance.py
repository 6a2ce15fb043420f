"""What others check of an endpoint: llm-comply's tests, and openai's types in strict mode."""

import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from pydantic import TypeAdapter

COMPLY = Path(sys.executable).with_name("llm-comply")
# OpenAI's own library names this event otherwise than the specification; pictures are not read
IGNORED = "reasoning_text,reasoning_summary_text"
IMAGES = {"image-input", "chat-image-input"}
TOOLS = [
    {
        "type": "function",
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    }
]


@pytest.mark.parametrize("form", ["open-responses", "openai-chat"])
def test_llm_comply_finds_nothing(script, service, form):
    command = [COMPLY, "-u", service.url, "-k", service.token, "-m", "base", "--json"]
    made = subprocess.run(
        [*command, "--format", form, "-i", IGNORED],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    results = json.loads(made.stdout)["results"]
    failed = {one["id"]: one for one in results if one["status"] == "failed"}
    wrong = {name: one["errors"] for name, one in failed.items() if name not in IMAGES}
    assert wrong == {}
    assert len(results) >= 9


@pytest.mark.usefixtures("script")
class TestStrict:
    def test_a_response_whole_and_streamed(self, client):
        whole = client.responses.create(model="base", input="Привет", include=[])
        assert whole.output_text == "Hello from Paris."
        assert [item.type for item in whole.output] == ["reasoning", "message"]
        with client.responses.stream(model="base", input="Привет") as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
        assert final.output_text == whole.output_text
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"

    def test_a_call_and_its_result(self, client):
        first = client.responses.create(model="base", input="The weather?", tools=TOOLS)
        call = first.output[-1]
        assert json.loads(call.arguments) == {"city": "Paris", "days": 3}
        said = {"type": "function_call_output", "call_id": call.call_id, "output": "sun"}
        second = client.responses.create(
            model="base", input=[said], previous_response_id=first.id, tools=TOOLS
        )
        assert second.output_text == "Hello from Paris."

    def test_a_chat_whole_and_in_chunks(self, client):
        asked = {"model": "base", "messages": [{"role": "user", "content": "Hi"}]}
        whole = client.chat.completions.create(**asked)
        assert whole.choices[0].message.content == "Hello from Paris."
        chunks = list(
            client.chat.completions.create(
                **asked, stream=True, stream_options={"include_usage": True}
            )
        )
        said = [c.choices[0].delta.content for c in chunks if c.choices]
        assert "".join(filter(None, said)) == "Hello from Paris."
        assert chunks[-1].usage.total_tokens == whole.usage.total_tokens

    def test_a_chat_that_calls(self, client):
        function = {k: v for k, v in TOOLS[0].items() if k != "type"}
        tools = [{"type": "function", "function": function}]
        with client.chat.completions.stream(
            model="base", messages=[{"role": "user", "content": "The weather?"}], tools=tools
        ) as stream:
            final = stream.get_final_completion()
        (call,) = final.choices[0].message.tool_calls
        assert final.choices[0].finish_reason == "tool_calls"
        assert json.loads(call.function.arguments) == {"city": "Paris", "days": 3}

    def test_a_form_is_parsed(self, client):
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        form = {"type": "json_schema", "name": "city", "schema": schema}
        made = client.responses.create(model="base", input="Fill", text={"format": form})
        assert json.loads(made.output_text) == {"name": "Paris"}


def test_models_and_completions_are_of_openai_s_types(service, client):
    names = [model.id for model in client.models.list()]
    assert names == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    made = client.completions.create(model="tiny", prompt="abc", max_tokens=3, logprobs=2)
    assert made.usage.completion_tokens == 3
    TypeAdapter(openai.types.Completion).validate_python(made.model_dump(), strict=True)
