"""/v1/responses: conversations in exact tokens, tools of every kind, events, what is stored."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptoss_magic.records import Message
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.serving.exact import opened, sealed
from gptoss_magic.session import current

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Погода.",
    "parameters": {"type": "object", "properties": {"город": {"type": "string"}}},
    "strict": True,
}
NULLS = (
    "instructions include user metadata temperature tools tool_choice text reasoning "
    "max_output_tokens stream store previous_response_id"
)
PATCH = '*** Begin Patch\n+новая "строка"\n*** End Patch'


def ask(wire, **body):
    status, said = wire.send("/v1/responses", {"model": "base", "input": "Привет", **body})
    assert status == 200, said
    return said


def kinds(said):
    return [item["type"] for item in said["output"]]


def text_of(said):
    return said["output"][-1]["content"][0]["text"]


def prompts(engine):
    return [engine.codec.decode(ids) for ids in engine.prompts]


def result_of(call, text):
    return {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": text}


def test_the_turn_after_a_call_reads_the_very_tokens_of_the_call(wire, service):
    raw = '{ "город" :"Рим"}'  # not as json.dumps writes it
    with scripted(current(), calling("weather", raw, "Смотрю."), saying("Солнце.")) as engine:
        first = ask(wire, tools=[WEATHER])
        assert kinds(first) == ["reasoning", "function_call"]
        call = first["output"][-1]
        assert call["arguments"] == raw
        second = ask(
            wire,
            input=[result_of(call, "солнце")],
            previous_response_id=first["id"],
            tools=[WEATHER],
        )
    assert text_of(second) == "Солнце."
    read = [*engine.prompts[0], *service.answers.ledger.get(first["id"]).turn.answer_ids]
    assert engine.prompts[1][: len(read)] == read
    assert "<|start|>functions.weather to=assistant" in prompts(engine)[1]


@pytest.mark.parametrize("how", ["whole", "arguments written anew", "reasoning left out", "no ids"])
def test_a_stateless_replay_reads_the_same_tokens(wire, service, how):
    raw = '{"город":"Рим"}'
    with scripted(current(), calling("weather", raw, "Смотрю."), saying("Солнце.")) as engine:
        first = ask(wire, tools=[WEATHER], store=False)
        items = json.loads(json.dumps(first["output"]))
        call = items[-1]
        if how == "arguments written anew":
            call["arguments"] = json.dumps(json.loads(raw), indent=1)
        if how == "reasoning left out":
            items = items[1:]
        if how == "no ids":
            items = [{k: v for k, v in one.items() if k not in ("id", "status")} for one in items]
        said = {"type": "message", "role": "user", "content": "Привет"}
        ask(wire, input=[said, *items, result_of(call, "солнце")], tools=[WEATHER], store=False)
        answer_T = service.answers.ledger.get(first["id"]).turn.answer_ids
        status, _ = wire.send(f"/v1/responses/{first['id']}")
    assert status == 404
    read = [*engine.prompts[0], *answer_T]
    assert engine.prompts[1][: len(read)] == read


def test_edited_arguments_are_written_anew(wire):
    with scripted(current(), calling("weather", '{"город":"Рим"}'), saying("Да.")) as engine:
        first = ask(wire, tools=[WEATHER])
        call = first["output"][-1] | {"arguments": '{"город":"Осло"}'}
        ask(wire, input=[{"role": "user", "content": "?"}, call, result_of(call, "снег")])
    assert "Осло" in prompts(engine)[1]
    assert "Рим" not in prompts(engine)[1]


def test_a_custom_tool_has_free_text_and_a_namespace_its_own_name(wire):
    tools = [
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
        },
        {"type": "namespace", "name": "files", "tools": [WEATHER]},
        {"type": "web_search"},
        {"type": "image_generation"},
    ]
    raw = json.dumps({"input": PATCH}, ensure_ascii=False)
    script = [calling("apply_patch", raw), calling("files__weather", "{}"), saying("Готово.")]
    with scripted(current(), *script) as engine:
        body = {"model": "base", "input": "Меняй", "tools": tools}
        _, sent, headers = wire.raw("/v1/responses", body)
        first = json.loads(sent)
        (call,) = [item for item in first["output"] if item["type"] == "custom_tool_call"]
        assert call["input"] == PATCH
        second = ask(
            wire, input=[result_of(call, "ok")], previous_response_id=first["id"], tools=tools
        )
        inner = second["output"][-1]
        assert (inner["namespace"], inner["name"]) == ("files", "weather")
        ask(
            wire,
            input=[result_of(inner, "ok")],
            previous_response_id=second["id"],
            tools=tools,
        )
    assert "web_search" in headers["X-Gptoss-Warning"]
    assert "start: /.+/" in prompts(engine)[0]
    assert raw in prompts(engine)[1]
    assert "functions.files__weather to=assistant" in prompts(engine)[2]


def test_tool_choice_none_hides_tools_and_keeps_instructions(wire):
    with scripted(current(), saying("Да.")) as engine:
        ask(wire, tools=[WEATHER], tool_choice="none", instructions="Кратко.")
    assert "weather" not in prompts(engine)[0]
    assert "Кратко." in prompts(engine)[0]


def test_instructions_are_of_one_request_and_do_not_travel(wire):
    with scripted(current(), saying("Да."), saying("Нет.")) as engine:
        first = ask(wire, instructions="Отвечай стихами.")
        ask(wire, previous_response_id=first["id"], input="И ещё?")
    assert "стихами" not in prompts(engine)[1]
    assert "Привет" in prompts(engine)[1]
    assert "Да." in prompts(engine)[1]


def test_events_are_numbered_their_items_equal_and_the_last_is_the_resource(wire):
    script = calling("weather", '{"город":"Рим"}', "Смотрю.")
    script.insert(1, Message("assistant", "Сейчас.", "commentary"))
    with scripted(current(), script):
        body = {"model": "base", "input": "?", "tools": [WEATHER], "reasoning": {"summary": "auto"}}
        events = wire.events("/v1/responses", body)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    final = events[-1]
    assert final["type"] == "response.completed"
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == final["response"]["output"]
    added = [event["item"]["id"] for event in events if event["type"].endswith("item.added")]
    assert added == [item["id"] for item in done]
    assert [item.get("phase") for item in done] == [None, "commentary", None]
    for kind in ("reasoning_text", "reasoning_summary_text", "output_text"):
        parts = [e["delta"] for e in events if e["type"] == f"response.{kind}.delta"]
        (whole,) = [e["text"] for e in events if e["type"] == f"response.{kind}.done"]
        assert "".join(parts) == whole
    arguments = [e["delta"] for e in events if e["type"].endswith("arguments.delta")]
    assert "".join(arguments) == '{"город":"Рим"}'
    assert done[0]["summary"][0]["text"] == "Смотрю."


def test_an_item_begins_empty_and_its_deltas_add_up(wire):
    words = Message("assistant", "Сейчас.", "commentary")
    script = [words, *calling("weather", '{"город":"Рим"}')]
    thought = Message("assistant", "Смотрю.", "analysis")
    with scripted(current(), [thought, *script]):
        events = wire.events("/v1/responses", {"model": "base", "input": "?", "tools": [WEATHER]})
    added = [e["item"] for e in events if e["type"] == "response.output_item.added"]
    begun = [item.get("arguments", item.get("content")) for item in added]
    assert begun == [[], [], ""]
    told = {}
    for event in events:
        if event["type"].endswith(".delta"):
            told[event["item_id"]] = told.get(event["item_id"], "") + event["delta"]
    assert list(told.values()) == ["Смотрю.", "Сейчас.", '{"город":"Рим"}']


def test_a_cut_answer_is_incomplete(wire):
    said = ask(wire, max_output_tokens=5)
    assert said["status"] == "incomplete"
    assert said["incomplete_details"] == {"reason": "max_output_tokens"}
    assert said["usage"]["output_tokens"] == 5
    events = wire.events(
        "/v1/responses", {"model": "base", "input": "Привет", "max_output_tokens": 5}
    )
    assert events[-1]["type"] == "response.incomplete"


def test_a_malformed_header_is_read_counted_and_never_a_500(wire, service):
    codec = current().codec
    odd = codec.tokenizer.encode("<|channel|>analysis to=functions.weather code<|message|>{}")
    with scripted(current(), saying("x")) as engine:
        engine.script = [[Message("assistant", "?", "final", ids=(0, 0, *odd, 6))]]
        said = ask(wire, tools=[WEATHER])
    assert said["status"] == "completed"
    assert service.answers.metrics.answers == 1


def test_effort_names_map_onto_three_and_are_said(wire, script):
    names = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high", "medium": "medium"}
    for name, effort in names.items():
        assert ask(wire, reasoning={"effort": name})["reasoning"]["effort"] == effort
    status, said = wire.send(
        "/v1/responses", {"model": "base", "input": "?", "reasoning": {"effort": "huge"}}
    )
    assert status == 400
    assert said["error"]["param"] == "reasoning.effort"


def test_stored_responses_are_given_listed_and_deleted(wire, script):
    said = ask(wire, input=[{"role": "user", "content": [{"type": "input_text", "text": "Раз"}]}])
    assert wire.send(f"/v1/responses/{said['id']}")[1] == said
    _, items = wire.send(f"/v1/responses/{said['id']}/input_items?order=asc&limit=1")
    assert items["data"][0]["content"][0]["text"] == "Раз"
    assert items["has_more"] is False
    assert wire.send(f"/v1/responses/{said['id']}/input_items?limit=0")[0] == 400
    assert wire.send(f"/v1/responses/{said['id']}/cancel", b"{}", "POST")[0] == 400
    _, gone = wire.send(f"/v1/responses/{said['id']}", method="DELETE")
    assert gone["deleted"] is True
    assert wire.send(f"/v1/responses/{said['id']}")[0] == 404
    status, body = wire.send(
        "/v1/responses", {"model": "base", "input": "?", "previous_response_id": said["id"]}
    )
    assert (status, body["error"]["code"]) == (404, "previous_response_not_found")


def test_nulls_are_as_good_as_missing_and_referred_items_are_found(wire, script):
    first = ask(wire)
    nulls = dict.fromkeys(NULLS.split())
    reference = {"type": "item_reference", "id": first["output"][-1]["id"]}
    said = ask(wire, input=[reference, {"role": "user", "content": "Ещё"}], **nulls)
    assert said["status"] == "completed"
    assert "Hello from Paris." in script.prompt_texts[-1]
    bad = {"type": "item_reference", "id": "msg_none"}
    assert wire.send("/v1/responses", {"model": "base", "input": [bad]})[0] == 404


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"input": None}, "input is missing"),
        ({"input": 3}, "input is 3"),
        ({"input": [3]}, "input[0] is 3"),
        ({"input": [{"role": "robot", "content": "x"}]}, "role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "reads text alone"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, "'c'"),
        ({"temperature": 3}, "from 0 to 2"),
        ({"temperature": True}, "temperature"),
        ({"top_logprobs": 21}, "from 0 to 20"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"background": True}, "background"),
        ({"conversation": "c"}, "previous_response_id"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "required"}, "no such tool"),
        ({"tool_choice": {"type": "function", "name": "x"}, "tools": [WEATHER]}, "'x'"),
        ({"tools": [WEATHER, WEATHER]}, "twice"),
        ({"text": {"format": {"type": "json_schema"}}}, "schema"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"seed": 1.5}, "seed"),
        ({"input": "x" * 9000}, "context"),
    ],
    ids=range(20),
)
def test_what_cannot_be_is_400_in_one_line_with_its_place(wire, body, says):
    status, said = wire.send("/v1/responses", {"model": "base", "input": "Hi", **body})
    assert status == 400
    assert says in said["error"]["message"]
    assert "\n" not in said["error"]["message"]


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_a_sealed_thought_opens_as_itself_and_nothing_else_does(resident, text):
    codec = current().codec
    start = [codec.special["start"], *codec.encode("assistant")]
    channel = [codec.special["channel"], *codec.encode("analysis"), codec.special["message"]]
    ids = [*start, *channel, *codec.encode(text), codec.special["end"]]
    message = opened(sealed(ids), codec)
    assert message is not None
    assert message.ids == tuple(ids)
    assert opened(text, codec) is None
    system = [codec.special["start"], *codec.encode("system"), codec.special["message"]]
    forged = [*ids, *system, *codec.encode(text), codec.special["end"]]
    assert opened(sealed(forged), codec) is None
    assert opened(sealed([*ids, 10**6]), codec) is None
    assert opened(sealed(ids)[:-5], codec) is None
