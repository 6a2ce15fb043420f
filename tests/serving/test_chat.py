"""/v1/chat/completions and /v1/completions: both names of reasoning, tools, stops, scores."""

import json

import pytest
import torch

import gptoss_magic
from gptoss_magic.adapters import Adapter
from gptoss_magic.model.parts import SoftPrompt
from gptoss_magic.records import Message
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current

TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
USER = {"role": "user", "content": "Привет"}


def chat(wire, *messages, **body):
    status, said = wire.send(
        "/v1/chat/completions", {"model": "base", "messages": [*messages] or [USER], **body}
    )
    assert status == 200, said
    return said


def complete(wire, **body):
    status, said = wire.send("/v1/completions", {"model": "base", "temperature": 0, **body})
    assert status == 200, said
    return said


def joined(chunks, *names):
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return ["".join(delta.get(name) or "" for delta in deltas) for name in names]


def test_thoughts_have_both_names_whole_and_streamed(wire):
    with scripted(current(), saying("Да.", "Думаю."), saying("Да.", "Думаю.")):
        message = chat(wire)["choices"][0]["message"]
        chunks = wire.events("/v1/chat/completions", {"model": "base", "messages": [USER]})
    assert message["content"] == "Да."
    assert message["reasoning"] == message["reasoning_content"] == "Думаю."
    assert joined(chunks, "content", "reasoning", "reasoning_content") == ["Да.", *["Думаю."] * 2]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", None])
def test_the_turn_after_a_call_has_its_thought_in_its_own_tokens(wire, service, name):
    with scripted(current(), calling("look", '{"a" : 1}', "Смотрю."), saying("Вижу.")) as engine:
        first = chat(wire, tools=[TOOL])
        said = first["choices"][0]["message"]
        assert first["choices"][0]["finish_reason"] == "tool_calls"
        assert said["content"] is None
        back = {"role": "assistant", "content": None, "tool_calls": said["tool_calls"]}
        if name:
            back[name] = said["reasoning"]
        result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "свет"}
        chat(wire, USER, back, result, tools=[TOOL])
    read = [*engine.prompts[0], *service.answers.ledger.get(first["id"]).turn.answer_ids]
    assert engine.prompts[1][: len(read)] == read


def test_what_was_thought_before_an_answer_is_not_read_again(wire):
    with scripted(current(), saying("Да.", "Думаю."), saying("Нет.")) as engine:
        said = chat(wire)["choices"][0]["message"]
        chat(wire, USER, said, {"role": "user", "content": "Точно?"})
    text = engine.prompt_texts[1]
    assert "Думаю" not in text
    assert "<|start|>assistant<|channel|>final<|message|>Да.<|end|>" in text


def test_words_before_a_call_are_content_and_go_back_as_a_preamble(wire):
    script = [Message("assistant", "Сейчас.", "commentary"), *calling("look", "{}")]
    with scripted(current(), script, saying("Вижу.")) as engine:
        said = chat(wire, tools=[TOOL])["choices"][0]["message"]
        assert said["content"] == "Сейчас."
        result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "x"}
        chat(wire, USER, said, result, tools=[TOOL])
    assert "<|channel|>commentary<|message|>Сейчас.<|end|>" in engine.prompt_texts[1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_answer_not_the_thought(wire, stream):
    script = saying("раз два СТОП три", "думаю СТОП думаю")
    with scripted(current(), script):
        body = {"model": "base", "messages": [USER], "stop": ["СТОП", "xx"]}
        if stream:
            chunks = wire.events("/v1/chat/completions", body)
            content, thought = joined(chunks, "content", "reasoning")
            finish = chunks[-1]["choices"][0]["finish_reason"]
        else:
            choice = wire.send("/v1/chat/completions", body)[1]["choices"][0]
            content, thought = choice["message"]["content"], choice["message"]["reasoning"]
            finish = choice["finish_reason"]
    assert content == "раз два "
    assert thought == "думаю СТОП думаю"
    assert finish == "stop"


def test_several_choices_differ_by_their_seeds_and_repeat(wire):
    body = {"n": 3, "seed": 5, "max_tokens": 12, "temperature": 1}
    first, again = chat(wire, **body), chat(wire, **body)
    texts = [choice["message"]["content"] for choice in first["choices"]]
    assert len(set(texts)) == 3
    assert texts == [choice["message"]["content"] for choice in again["choices"]]
    assert first["usage"]["completion_tokens"] == 36


def test_text_that_is_held_back_for_a_stop_string_keeps_its_logprobs(wire):
    body = {"model": "base", "messages": [USER], "logprobs": True, "stop": ["a☃", "нет", "bb☃"]}
    answers = [saying("a нe a bb, нет", "a ☃")] * 2
    with scripted(current(), *answers):
        whole = chat(wire, **body)["choices"][0]
        chunks = wire.events("/v1/chat/completions", body)
    assert whole["message"]["content"] == "a нe a bb, "
    streamed = [c["choices"][0]["logprobs"] for c in chunks if c["choices"]]
    tokens = [token for one in streamed if one for token in one["content"]]
    assert tokens == whole["logprobs"]["content"]
    assert bytes(b for token in tokens for b in token["bytes"]).decode() == "a нe a bb, "


def test_logprobs_of_each_token_and_the_likeliest(wire):
    said = chat(wire, logprobs=True, top_logprobs=2, max_tokens=6, temperature=0)
    for token in said["choices"][0]["logprobs"]["content"]:
        assert len(token["top_logprobs"]) == 2
        assert token["top_logprobs"][0]["logprob"] == pytest.approx(token["logprob"], abs=1e-5)
        assert bytes(token["bytes"]).decode("utf-8", "replace") == token["token"]


def test_old_functions_and_odd_roles_are_read(wire, script):
    message = chat(
        wire,
        {"role": "system", "content": [{"type": "text", "text": "Кратко."}]},
        USER,
        {"role": "assistant", "content": "", "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "свет"},
        functions=[{"name": "look", "parameters": {"type": "object"}}],
        max_completion_tokens=200,
    )["choices"][0]["message"]
    assert message["content"] == "Hello from Paris."
    assert "functions.look to=assistant" in script.prompt_texts[-1]
    assert "Кратко." in script.prompt_texts[-1]


def test_a_form_is_held_to_by_the_real_engine(wire):
    schema = {"type": "object", "properties": {"n": {"enum": [7]}}, "required": ["n"]}
    schema["additionalProperties"] = False
    form = {"type": "json_schema", "json_schema": {"name": "seven", "schema": schema}}
    said = chat(wire, response_format=form, max_tokens=1000, temperature=1.5, seed=3)
    choice = said["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert json.loads(choice["message"]["content"]) == {"n": 7}


def test_completions_go_on_behind_token_ids_as_the_engine_does(wire):
    ids = current().codec.encode("Вот текст")
    alone = gptoss_magic.respond(ids, temperature=0, max_tokens=8)
    said = complete(wire, prompt=ids, max_tokens=8, return_token_ids=True)["choices"][0]
    assert said["token_ids"] == list(alone.raw_tokens)
    assert said["prompt_token_ids"] == ids
    chunks = wire.events(
        "/v1/completions",
        {"model": "base", "prompt": ids, "max_tokens": 8, "temperature": 0}
        | {"return_token_ids": True},
    )
    streamed = [t for chunk in chunks for t in chunk["choices"][0]["token_ids"]]
    assert streamed == said["token_ids"]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == said["text"]


def test_echo_gives_the_prompt_its_scores_as_transformers_has_them(wire):
    import torch

    model, codec = current().require().model, current().codec
    ids = codec.encode("Небольшой текст, 12.")
    said = complete(wire, prompt=[ids], max_tokens=0, echo=True, logprobs=1)["choices"][0]
    scores = said["logprobs"]["token_logprobs"]
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(-1)
    wanted = [float(logits[place, token]) for place, token in enumerate(ids[1:])]
    assert scores[0] is None
    assert scores[1:] == pytest.approx(wanted, abs=2e-3)
    assert said["text"] == "Небольшой текст, 12."


def test_many_prompts_are_answered_in_their_order(wire):
    codec = current().codec
    prompts = [f"текст {number}" for number in range(10)]
    alone = [
        list(gptoss_magic.respond(codec.encode(p), temperature=0, max_tokens=6).raw_tokens)
        for p in prompts
    ]
    said = complete(wire, prompt=prompts, max_tokens=6, return_token_ids=True)
    assert [choice["token_ids"] for choice in said["choices"]] == alone
    assert [choice["index"] for choice in said["choices"]] == list(range(10))


def test_tokens_and_text_there_and_back(wire):
    text = "<|start|>user<|message|>Привет 🌙"
    _, made = wire.send("/tokenize", {"prompt": text, "add_special_tokens": False})
    assert made["tokens"][0] == current().codec.special["start"]
    assert wire.send("/detokenize", {"tokens": made["tokens"]})[1]["prompt"] == text
    _, info = wire.send("/tokenizer_info")
    assert info["harmony"] == current().codec.special
    _, raw, headers = wire.raw("/metrics")
    assert "gptoss_requests_total" in raw.decode()
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("chat/completions", {"messages": []}, "messages"),
        ("chat/completions", {"messages": [USER], "n": 17}, "from 1 to 16"),
        ("chat/completions", {"messages": [USER], "logit_bias": {"1": 2}}, "logit_bias"),
        ("chat/completions", {"messages": [USER], "frequency_penalty": 1}, "frequency_penalty"),
        ("chat/completions", {"messages": [USER], "modalities": ["audio"]}, "text alone"),
        ("chat/completions", {"messages": [{"role": "tool", "tool_call_id": "x"}]}, "'x'"),
        ("completions", {"prompt": []}, "prompt"),
        ("completions", {"prompt": [[1, -1]]}, "prompt"),
        ("completions", {"prompt": [10**9]}, "prompt"),
        ("completions", {"prompt": "x", "suffix": "y"}, "suffix"),
        ("completions", {"prompt": ""}, "at least one token"),
    ],
)
def test_what_cannot_be_is_400_in_one_line(wire, path, body, says):
    status, said = wire.send(f"/v1/{path}", {"model": "base", **body})
    assert status == 400
    assert says in said["error"]["message"]
    assert "\n" not in said["error"]["message"]


def test_without_a_model_it_says_to_come_again(wire):
    session = current()
    held, session.loaded = session.loaded, None
    try:
        for path, body in (("chat/completions", {"messages": [USER]}), ("models", None)):
            request = body and {"model": "base", **body}
            status, raw, headers = wire.raw(f"/v1/{path}", request)
            assert status == 503
            assert headers["Retry-After"]
            assert json.loads(raw)["error"]["code"] == "model_not_loaded"
        assert wire.raw("/health")[0] == 503
    finally:
        session.loaded = held


def test_while_a_run_trains_it_says_to_come_again(wire):
    with current().training_by("x", None):
        status, said = wire.send("/v1/chat/completions", {"model": "base", "messages": [USER]})
    assert status == 503
    assert "trains the model" in said["error"]["message"]


def test_a_soft_prompt_takes_its_room_of_the_context(wire):
    soft = Adapter("soft", (SoftPrompt(torch.randn(4, 64)),))
    current().shelf.add(soft)
    room = current().engine.context - 4
    asked = {"model": "base+soft", "prompt": [9] * (room - 2), "max_tokens": 50}
    said = complete(wire, **asked)
    assert said["usage"]["completion_tokens"] <= 2
    status, error = wire.send("/v1/completions", asked | {"prompt": [9] * room})
    assert status == 400
    assert "the context" in error["error"]["message"]
