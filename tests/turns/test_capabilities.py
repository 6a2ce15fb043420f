"""What an engine cannot do is refused before it is asked, in one line."""

import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.generation import AnswerBuilder
from gptoss_magic.generation.protocol import Capabilities
from gptoss_magic.generation.score import log_likelihood
from gptoss_magic.harmony import HarmonyParser
from gptoss_magic.records import TokenDelta
from gptoss_magic.runs.wanted import check_goes_on
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.methods import settings_of


@pytest.fixture(scope="module", autouse=True)
def resident(tmp_path_factory):
    gptoss_magic.load(tiny_checkpoint(tmp_path_factory.mktemp("can") / "tiny"), context=1024)
    yield
    gptoss_magic.unload()


@pytest.fixture
def engine(monkeypatch):
    """A scripted engine that can do nothing but answer."""
    with scripted(current(), saying("Yes.")) as made:
        monkeypatch.setattr(type(made), "capabilities", Capabilities())
        yield made


SCHEMA = {"type": "object", "properties": {}}
ASKED = [
    ({"routing": True}, "leave --routing out"),
    ({"mask_experts": "0:1"}, "leave the probe out"),
    ({"force_experts": "0:1"}, "leave the probe out"),
    ({"schema": SCHEMA}, "leave --schema out"),
]


@pytest.mark.parametrize(("settings", "says"), ASKED)
def test_a_request_asks_no_more_than_the_engine_can(engine, settings, says):
    with pytest.raises(InputError, match=says) as caught:
        gptoss_magic.generate("Hello", **settings)
    assert "\n" not in str(caught.value)
    assert engine.prompts == []


def test_answers_go_on_where_the_engine_can(engine):
    with pytest.raises(InputError, match="ask the prompt again"):
        gptoss_magic.respond([1, 2, 3], kept=[4])
    with pytest.raises(InputError, match="no log-probabilities"):
        log_likelihood(engine, [1, 2], [3])
    assert gptoss_magic.generate("Hello").final == "Yes."


def test_a_batch_s_answer_is_closed_by_its_last_token():
    codec = current().codec
    ids = [codec.special["channel"], *codec.encode("final"), codec.special["message"]]
    ids += codec.encode("So it ends. And")
    builder = AnswerBuilder(HarmonyParser(codec))
    last = [builder.add(TokenDelta(token), (" And",)) for token in ids[:-1]]
    assert not any(last)
    assert builder.add(TokenDelta(ids[-1], "stop"), (" And",))
    said = builder.answer(0, 0, {})
    assert (said.final, said.finish) == ("So it ends.", "stop")


def test_a_run_that_goes_on_keeps_its_method():
    before = settings_of("lora", rank=2)
    check_goes_on(before, {})
    check_goes_on(before, {"rank": 2, "method": "lora"})
    with pytest.raises(InputError, match="leave method, rank out"):
        check_goes_on(before, {"rank": 4, "method": "prefix"})
