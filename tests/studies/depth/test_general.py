"""General text on a rung: loss and KL against the whole distribution, computed plainly."""

import pytest
import torch

from gptoss_magic.runs.canary import general_loss
from gptoss_magic.session import current
from gptoss_magic.studies.depth import general
from gptoss_magic.studies.depth.general import GeneralTexts
from gptoss_magic.studies.depth.setup import BARE_SETUP, Setup

pytestmark = pytest.mark.usefixtures("place")


def example(setup, number=0):
    return general._example(setup, general._talks()[number])  # noqa: SLF001


def logits(setup, number=0):
    """[N, V] log-probabilities of the tokens that count, and those tokens."""
    one, model = example(setup, number), current().require_local().model
    ids = torch.tensor([one.ids], device=model.device)
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits[0].float().log_softmax(-1)
    places = [place - 1 for place, counts in enumerate(one.trained) if counts]
    return whole[places], [one.ids[place + 1] for place in places]


def test_what_counts_is_what_the_assistant_thinks_and_says():
    one, codec = example(BARE_SETUP), current().codec
    talk = general._talks()[0]  # noqa: SLF001
    said = [token for token, counts in zip(one.ids, one.trained, strict=True) if counts]
    assert codec.decode(said) == talk[2].content + talk[3].content


def test_losses_are_the_canary_s_on_the_same_texts():
    model = current().require_local().model
    losses = GeneralTexts(3).figures(BARE_SETUP).losses
    plain = [general_loss(model, [example(BARE_SETUP, number)]) for number in range(3)]
    assert losses == pytest.approx(plain, rel=1e-5)


def test_kl_is_from_bare_to_the_rung_over_the_same_tokens():
    setup = Setup(system="Отвечай коротко.")
    figures = GeneralTexts(2).figures(setup)
    for number in range(2):
        (log_p, targets), (log_q, same) = logits(BARE_SETUP, number), logits(setup, number)
        assert targets == same
        kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
        assert figures.kls[number] == pytest.approx(float(kl), rel=1e-3)
        loss = -log_q[range(len(targets)), targets].mean()
        assert figures.losses[number] == pytest.approx(float(loss), rel=1e-4)


def test_bare_is_no_way_from_itself():
    assert GeneralTexts(2).figures(BARE_SETUP).kls == (0.0, 0.0)
    assert GeneralTexts(0).figures(BARE_SETUP).losses == ()
    assert GeneralTexts(0).drift(()) == 0.0
