"""Many callers at one desk: each gets its own answer, whoever comes, goes or asks beside it."""

import threading
import time
from dataclasses import replace

import pytest

import gptoss_magic
from gptoss_magic.errors import ContextOverflow, InputError, NotLoaded
from gptoss_magic.harmony import render
from gptoss_magic.records import Listener, Message, ToolSpec
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.turns.settle import settle
from gptoss_magic.turns.together import Desk

PROMPTS = [f"Ask {number}: {'и ещё ' * (number % 7)}что?" for number in range(24)]


@pytest.fixture(scope="module", autouse=True)
def resident(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together") / "tiny"
    gptoss_magic.load(tiny_checkpoint(folder), context=2048)
    yield
    gptoss_magic.unload()


class Asked:
    """One request at a desk, and what came of it."""

    def __init__(self, desk, prompt, *, leaves_after=None, **settings):
        self.result, self.tokens = None, []
        self.over = threading.Event()
        self.leaves_after = leaves_after
        request = settle(prompt, temperature=0, seed=1, date="2025-08-05", **settings)
        request = replace(request, prompt="", messages=whole(request))
        listener = Listener(on_token=self.tokens.append, is_gone=self.is_gone)
        desk.ask(request, listener, self.end)

    def is_gone(self):
        return self.leaves_after is not None and len(self.tokens) >= self.leaves_after

    def end(self, result):
        self.result = result
        self.over.set()

    def wait(self):
        assert self.over.wait(60)
        return self.result


def whole(request):
    from gptoss_magic.turns.prompt import messages_of

    return messages_of(request)


def alone(prompt, max_tokens=40):
    settings = {"temperature": 0, "seed": 1, "date": "2025-08-05", "max_tokens": max_tokens}
    return gptoss_magic.generate(prompt, **settings)


def test_each_answer_is_what_it_is_alone():
    wanted = [alone(prompt).raw_tokens for prompt in PROMPTS]
    desk = Desk()
    asked = [Asked(desk, prompt, max_tokens=40) for prompt in PROMPTS]
    turns = [one.wait() for one in asked]
    assert [turn.answer.raw_tokens for turn in turns] == wanted
    assert [[t.token_id for t in one.tokens] for one in asked] == [list(ids) for ids in wanted]
    assert desk.num_open == 0


def test_who_leaves_ends_its_own_answer_alone():
    wanted = alone(PROMPTS[1], 200).raw_tokens
    desk = Desk()
    leaving = [Asked(desk, p, max_tokens=200, leaves_after=3) for p in PROMPTS[2:6]]
    staying = Asked(desk, PROMPTS[1], max_tokens=200)
    assert staying.wait().answer.raw_tokens == wanted
    for one in leaving:
        answer = one.wait().answer
        assert answer.finish == "interrupt"
        assert len(answer.raw_tokens) <= 3 + 5  # a draft's tokens come together
    held = current().local_engine.prefixes.held.values()
    assert not any(prefix.is_open for prefix in held)


def test_a_cell_goes_between_and_both_are_whole():
    wanted = [alone(PROMPTS[0]).raw_tokens, alone(PROMPTS[1], 300).raw_tokens]
    desk = Desk()
    asked = Asked(desk, PROMPTS[1], max_tokens=300)
    assert alone(PROMPTS[0]).raw_tokens == wanted[0]
    assert asked.wait().answer.raw_tokens == wanted[1]


def test_one_that_cannot_be_answered_leaves_the_others():
    wanted = alone(PROMPTS[0]).raw_tokens
    desk = Desk()
    broken = Asked(desk, PROMPTS[1], max_tokens=2040)
    whole_one = Asked(desk, PROMPTS[0], max_tokens=40)
    assert isinstance(broken.wait(), ContextOverflow)
    assert whole_one.wait().answer.raw_tokens == wanted


def test_a_listener_that_breaks_ends_its_own():
    def broken(_token):
        raise ValueError("no longer here")

    desk, over = Desk(), threading.Event()
    request = settle(PROMPTS[0], temperature=0, max_tokens=20)
    desk.ask(request, Listener(on_token=broken), lambda _result: over.set())
    whole_one = Asked(desk, PROMPTS[1], max_tokens=20)
    assert len(whole_one.wait().answer.raw_tokens) == 20
    assert over.wait(20)


def test_an_unloaded_model_ends_what_it_answers(tmp_path):
    folder = tiny_checkpoint(tmp_path / "tiny")
    gptoss_magic.load(folder, context=2048, replace=True)
    desk = Desk()
    asked = Asked(desk, PROMPTS[0], max_tokens=1500)
    while not asked.tokens:
        time.sleep(0.01)
    gptoss_magic.unload()
    assert isinstance(asked.wait(), NotLoaded)
    gptoss_magic.load(folder, context=2048)
    assert Asked(desk, PROMPTS[0], max_tokens=5).wait().answer.finish == "length"


def test_likeliest_tokens_are_told_beside_each():
    desk = Desk()
    request = settle("Hello", temperature=0, max_tokens=5)
    tokens, over = [], threading.Event()
    desk.ask(
        replace(request, num_top=3), Listener(on_token=tokens.append), lambda _result: over.set()
    )
    assert over.wait(20)
    for token in tokens:
        assert len(token.top) == 3
        assert token.top[0] == (token.token_id, pytest.approx(token.logprob, abs=1e-5))


LOOK = ToolSpec(
    "look",
    "Looks.",
    {
        "type": "object",
        "properties": {"at": {"type": "string"}, "times": {"type": "integer"}},
        "required": ["at", "times"],
        "additionalProperties": False,
    },
)


def follow(*messages):
    """A guide that must call, which has taken the tokens of `messages`."""
    engine = current().local_engine
    guide = engine.grammar(None, must_call=[LOOK]).start()
    ids = render(messages, engine.codec, prompt=False)
    opening = [engine.codec.special["start"], *engine.codec.encode("assistant")]
    for token in ids[len(opening) :]:
        guide.take(token)
    return guide


def test_a_call_that_must_be_comes_behind_a_thought_with_arguments_of_its_schema():
    thought = Message("assistant", "Сначала смотрю.", "analysis")
    for name in ("functions.look",):
        raw = '{"at": "вверх", "times": 3}'
        call = Message("assistant", raw, "commentary", name, "<|constrain|>json")
        follow(thought, call)
        follow(call)


@pytest.mark.parametrize(
    "message",
    [
        Message("assistant", "No.", "final"),
        Message("assistant", '{"at": 3, "times": 3}', "commentary", "functions.look"),
        Message("assistant", '{"at": "up"}', "commentary", "functions.look"),
        Message("assistant", "{}", "commentary", "functions.other"),
    ],
    ids=["final", "type", "missing", "other"],
)
def test_nothing_else_may_be_said_where_a_call_must_be(message):
    with pytest.raises(InputError):
        follow(message)
