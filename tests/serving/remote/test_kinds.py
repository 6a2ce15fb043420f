"""Each kind of server in its own wire shapes: exact answers by tokens, others by chat."""

import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.records import Message
from gptoss_magic.scripted import calling, saying
from gptoss_magic.session import current
from tests.serving.remote.kinds import BY_MESSAGES, BY_TOKENS, ids_of
from tests.serving.remote.wire_server import cut

TEXT = "Париж, «конечно» 🙂 — e\u0301"
ASK = {"temperature": 0.0, "max_tokens": 400, "date": "2026-01-01"}


def says(codec, *turns):
    """What gives these turns one after the other, and the last of them for ever."""
    return lambda prompt: ids_of(codec, turns[0])


@pytest.mark.parametrize("name", BY_TOKENS)
def test_an_answer_by_tokens_is_the_server_s_own(name, codec, joined):
    spoken = saying(TEXT, "Думаю о столице.")
    server = joined(BY_TOKENS[name](codec, says(codec, spoken), around=cut))
    answer = gptoss_magic.generate("Столица?", **ASK)
    assert answer.final == TEXT
    assert answer.analysis == "Думаю о столице."
    assert answer.raw_tokens == tuple(ids_of(codec, spoken))
    assert answer.finish == "return"
    assert answer.provenance["server"]["exact"]
    assert answer.provenance["server"]["url"] == server.url
    assert current().remote.exact


@pytest.mark.parametrize("name", BY_TOKENS)
def test_what_works_is_tried_at_the_start(name, codec, joined):
    joined(BY_TOKENS[name](codec, says(codec, saying("Yes."))))
    works = {one.name: one.works for one in current().remote.abilities}
    assert works.pop("those of a given text") is (name != "llama")
    assert works.pop("adapters") is False
    assert works.pop("routing, probes, tuning, hidden states and KV roll-back") is False
    assert set(works.values()) == {True}


@pytest.mark.parametrize("name", BY_TOKENS)
def test_a_call_a_cut_and_a_stop_string(name, codec, joined):
    spoken = calling("get_time", '{"city": "Пермь"}', "Which tool?")
    joined(BY_TOKENS[name](codec, says(codec, spoken)))
    answer = gptoss_magic.generate("Time?", **ASK)
    assert (answer.finish, answer.tool_calls[0].name) == ("call", "get_time")
    assert answer.tool_calls[0].arguments == {"city": "Пермь"}
    short = gptoss_magic.generate("Time?", **{**ASK, "max_tokens": 9})
    assert (short.finish, len(short.raw_tokens)) == ("length", 9)
    stopped = gptoss_magic.generate("Time?", **ASK, stop="tool")
    assert (stopped.finish, stopped.analysis) == ("stop", "Which ")


@pytest.mark.parametrize("name", BY_TOKENS)
def test_figures_are_the_server_s(name, codec, joined):
    spoken = saying("Yes.")
    joined(BY_TOKENS[name](codec, says(codec, spoken)))
    answer = gptoss_magic.generate("Well?", **ASK)
    assert answer.logprobs == (-0.5,) * len(answer.raw_tokens)
    assert answer.usage.completion_tokens == len(ids_of(codec, spoken))
    num_prompt = answer.usage.prompt_tokens
    assert answer.usage.cached_tokens == (41 if name == "llama" else num_prompt - 1)
    if name != "llama":
        scores = current().engine.score(answer.provenance["prompt_tokens"], [1, 2, 3])
        assert scores == [-0.25] * 3
    else:
        with pytest.raises(InputError, match="llama-server gives no log-probabilities"):
            current().engine.score([1], [2])


@pytest.mark.parametrize("name", BY_TOKENS)
def test_final_alone_is_held_to_a_schema(name, codec, joined):
    server = joined(BY_TOKENS[name](codec, says(codec, saying("not JSON", "Thinking."))))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    answer = gptoss_magic.generate("Where?", **ASK, schema=schema)
    assert answer.analysis == "Thinking."
    assert answer.parsed == {"city": "Paris"}
    assert answer.finish == "return"
    bodies = [str(one.body) for one in server.asked[-2:]]
    assert ["city" in body for body in bodies] == [False, True]


@pytest.mark.parametrize("name", BY_TOKENS)
def test_tokens_that_stand_already_are_kept(name, codec, joined):
    whole = ids_of(codec, saying("One two.", "Hm."))
    joined(BY_TOKENS[name](codec, lambda prompt: whole))
    gptoss_magic.generate("Count.", **ASK)
    current().engine.client.address  # noqa: B018 (a server's)
    rest = whole[6:]
    current().unload()
    joined(BY_TOKENS[name](codec, lambda prompt: rest))
    answer = gptoss_magic.respond([1, *codec.encode("assistant")], kept=whole[:6], **ASK)
    assert answer.raw_tokens == tuple(whole)
    assert answer.final == "One two."


@pytest.mark.parametrize("name", BY_TOKENS)
def test_an_adapter_is_checked_to_change_the_answer(name, codec, joined):
    def say(prompt):
        is_adapted = prompt[-1] == "style"
        return ids_of(codec, saying("Ahoy." if is_adapted else "Yes."))

    joined(BY_TOKENS[name](codec, say, adapters=("style", "inert")))
    assert gptoss_magic.generate("Well?", **ASK).final == "Yes."
    answer = gptoss_magic.generate("Well?", **ASK, adapters="style")
    assert answer.final == "Ahoy."
    assert answer.provenance["adapters"][0]["name"] == "style"
    with pytest.raises(InputError, match=r"adapter inert: .* answers the same with and without"):
        gptoss_magic.generate("Well?", **ASK, adapters="inert")
    with pytest.raises(InputError, match=r"no such adapter at .*; it has style, inert"):
        gptoss_magic.generate("Well?", **ASK, adapters="styl")
    gptoss_magic.use("style")
    assert gptoss_magic.generate("Well?", **ASK).final == "Ahoy."


@pytest.mark.parametrize("name", BY_MESSAGES)
def test_an_answer_by_messages_is_not_exact(name, codec, serve):
    spoken = saying(TEXT, "Думаю.")
    kind = BY_MESSAGES[name](codec, lambda body: spoken, around=cut)
    server = serve(kind)
    about = gptoss_magic.connect(server.url)
    assert "not exact: " in about
    answer = gptoss_magic.generate("Столица?", **ASK, system="По-русски.", effort="high")
    assert (answer.final, answer.analysis, answer.finish) == (TEXT, "Думаю.", "return")
    assert not answer.provenance["server"]["exact"]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (70, 12)
    body = server.asked[-1].body
    assert [(one["role"], one["content"]) for one in body["messages"]] == [
        ("system", "По-русски."),
        ("user", "Столица?"),
    ]
    assert body.get("think", body.get("reasoning_effort")) == "high"


@pytest.mark.parametrize("name", BY_MESSAGES)
def test_tools_and_conversations_by_messages(name, codec, serve):
    def say(body):
        results = [one["content"] for one in body["messages"] if one["role"] == "tool"]
        if not body.get("tools"):
            return saying("Still warm." if "warm" in str(body["messages"]) else "No tools.")
        return saying(f"It is {results[0]}.") if results else calling("weather", '{"city": "Omsk"}')

    server = serve(BY_MESSAGES[name](codec, say))
    gptoss_magic.connect(server.url)

    def weather(city: str) -> str:
        """The weather."""
        return f"warm in {city}"

    answer = gptoss_magic.generate(
        "Weather?", **ASK, tools=[weather], consent=lambda *_: None, conversation="c"
    )
    assert answer.final == "It is warm in Omsk."
    call = next(one for one in server.asked[-1].body["messages"] if one.get("tool_calls"))
    arguments = call["tool_calls"][0]["function"]["arguments"]
    assert arguments == ({"city": "Omsk"} if name == "ollama" else '{"city": "Omsk"}')
    assert gptoss_magic.generate("And now?", **ASK, conversation="c").final == "Still warm."


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_reasoning_has_either_name(key, codec, serve):
    kind = BY_MESSAGES["plain"](codec, lambda body: saying("Yes.", "Why not?"))
    kind.key = key
    gptoss_magic.connect(serve(kind).url)
    assert gptoss_magic.generate("Well?", **ASK).analysis == "Why not?"


def test_what_a_plain_server_refuses_is_left_out(codec, serve):
    kind = BY_MESSAGES["plain"](codec, lambda body: saying("Yes."))
    kind.refuses = ("reasoning_effort", "seed", "response_format", "max_tokens")
    server = serve(kind)
    gptoss_magic.connect(server.url)
    assert gptoss_magic.generate("Well?", **ASK).final == "Yes."
    assert not {"reasoning_effort", "seed", "max_tokens"} & set(server.asked[-1].body)
    assert server.asked[-1].body["max_completion_tokens"] == 400
    names = [one.name for one in current().remote.abilities if not one.works]
    assert "max_tokens, reasoning_effort, seed" in names
    with pytest.raises(InputError, match="cannot be held to a schema"):
        gptoss_magic.generate("Well?", **ASK, schema={"type": "object", "properties": {}})
    with pytest.raises(InputError, match=r"top-k: .*takes none"):
        gptoss_magic.generate("Well?", **ASK, top_k=4)


def test_tokens_that_disagree_lead_to_chat(codec, serve, tokenizer):
    class Other(BY_TOKENS["vllm"]):
        def tokenize(self, body):
            return super().tokenize(body | {"prompt": body["prompt"] + " "})

        def routes(self):
            plain = BY_MESSAGES["plain"](codec, lambda body: saying("By chat."))
            return super().routes() | {
                ("POST", "/v1/chat/completions"): plain.complete,
            }

    server = serve(Other(codec, says(codec, saying("By tokens."))))
    with pytest.raises(InputError, match="its tokens differ from this tokenizer's, from token"):
        gptoss_magic.connect(server.url, tokenizer=tokenizer)
    about = gptoss_magic.connect(server.url)
    assert "not exact: no gpt-oss tokenizer lies here" in about
    assert gptoss_magic.generate("Well?", **ASK).final == "By chat."
    with pytest.raises(InputError, match="takes messages, no token ids"):
        gptoss_magic.respond([1, 2, 3], **ASK)


def test_an_old_vllm_without_token_ids_is_no_token_server(codec, serve, tokenizer):
    class Old(BY_TOKENS["vllm"]):
        def chunk(self, **choice):
            choice.pop("token_ids", None)
            return super().chunk(**choice)

    with pytest.raises(InputError, match="gives no token ids back"):
        gptoss_magic.connect(serve(Old(codec, says(codec, saying("x")))).url, tokenizer=tokenizer)
    assert current().loaded is None


def test_an_incremental_sglang(codec, joined):
    kind = BY_TOKENS["sglang"](codec, says(codec, saying(TEXT, "Hm.")))
    kind.is_incremental = True
    joined(kind)
    answer = gptoss_magic.generate("Well?", **ASK)
    assert (answer.final, len(answer.logprobs)) == (TEXT, len(answer.raw_tokens))


@pytest.mark.parametrize("spoken", [saying("Yes."), calling("f", "{}")])
def test_an_end_that_the_server_keeps_is_put_back(spoken, codec, joined):
    kind = BY_TOKENS["llama"](codec, says(codec, spoken))
    kind.is_eog_told = False
    joined(kind)
    answer = gptoss_magic.generate("Well?", **ASK)
    assert answer.raw_tokens == tuple(ids_of(codec, spoken))
    assert answer.finish == ("call" if spoken[-1].recipient else "return")


def test_several_calls_of_one_chat_answer(codec, serve):
    spoken = [*calling("f", '{"a": 1}'), *calling("functions.g<|channel|>commentary", '{"b": 2}')]
    gptoss_magic.connect(serve(BY_MESSAGES["plain"](codec, lambda body: spoken)).url)
    answer = gptoss_magic.generate("Well?", **ASK)
    assert [(one.name, one.arguments) for one in answer.tool_calls] == [
        ("f", {"a": 1}),
        ("g", {"b": 2}),
    ]
    assert answer.messages[-1] == Message(
        "assistant", '{"b": 2}', "commentary", "functions.g", "<|constrain|>json"
    )
