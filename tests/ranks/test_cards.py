"""Plans for several cards: shapes against the checkpoint's, and what must hold between them."""

import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.model.architecture import empty_model
from gptoss_magic.ranks.cards import (
    HEADERS,
    cards_plans,
    cards_rows,
    parsed_cards,
    table,
    wire_bytes,
)
from gptoss_magic.ranks.rank_bytes import sharded
from gptoss_magic.tuning.shapes import experts_bytes, known_config, packed_bytes
from tests.shell_cells import new_shell, run


def by_strategy(name, count, card=80e9, method="experts"):
    return {plan.strategy: plan for plan in cards_plans(name, count, int(card), method)}


@pytest.mark.parametrize("name", ["120b", "20b"])
def test_an_experts_bytes_are_those_of_an_empty_model(name):
    from transformers import GptOssConfig

    config = known_config(name)
    model = empty_model(GptOssConfig(**config), is_packed=True)
    experts = model.get_decoder().layers[0].mlp.experts
    held = sum(p.numel() * p.element_size() for p in experts.parameters())
    assert held * config["num_hidden_layers"] == experts_bytes(config)
    assert experts_bytes(config) < packed_bytes(config)


def test_sharing_the_experts_leaves_an_nth_of_them():
    config = known_config("120b")
    for count in (2, 4, 8):
        plans = by_strategy("120b", count)
        assert set(plans) == {"ddp", "ep", "fsdp", *(("fsdp+ep",) if count > 2 else ())}
        rest = packed_bytes(config) - experts_bytes(config)
        assert plans["ep"].mine.weights == rest + experts_bytes(config) // count
        assert plans["fsdp"].mine.weights == plans["ep"].mine.weights
        assert plans["ddp"].mine.weights == packed_bytes(config)
        assert plans["ep"].needed < plans["ddp"].needed
    assert set(by_strategy("120b", 1)) == {"ddp"}
    assert by_strategy("120b", 1)["ddp"].wire == 0


def test_120b_fits_on_smaller_cards_where_its_experts_are_shared_out():
    assert not by_strategy("120b", 8, 24e9)["ddp"].fits
    assert by_strategy("120b", 8, 24e9)["ep"].fits
    assert by_strategy("120b", 8, 80e9)["ddp"].fits


def test_tokens_weigh_less_on_the_wire_than_experts():
    plans = by_strategy("120b", 8)
    ep, fsdp, ddp = (plans[name].wire for name in ("ep", "fsdp", "ddp"))
    assert ddp < ep < plans["fsdp+ep"].wire < fsdp
    one = plans["ep"].one
    layers, asked = known_config("120b")["num_hidden_layers"], one.asked
    rows = asked.sequence_tokens * 4
    assert wire_bytes(one, "ep", 8) - ddp == round(
        7 / 8 * layers * (3 if asked.recompute else 2) * 2 * rows * 2880 * 2
    )


def test_on_a_mesh_each_side_is_counted_by_itself():
    plans = by_strategy("120b", 8)  # tokens travel among 4 ranks, bytes are gathered from 2
    both, ep, one = plans["fsdp+ep"], plans["ep"], plans["ep"].one
    layer = experts_bytes(known_config("120b")) // 36 // 4
    routed = 2 * one.asked.sequence_tokens * 4 * 2880 * 2
    assert both.mine.weights == ep.mine.weights
    assert both.mine.transit == 2 * layer + 2 * routed
    passes = 36 * (3 if one.asked.recompute else 2)
    sums = plans["ddp"].wire
    assert both.wire - sums == pytest.approx(passes * (layer / 2 + routed * 3 / 4), rel=1e-6)


def test_every_weight_trained_is_cut_by_fsdp_alone():
    config = known_config("120b")
    assert by_strategy("120b", 1, 80e9, "full")["ddp"].fits is False
    plans = by_strategy("120b", 8, 141e9, "full")
    assert set(plans) == {"ddp", "fsdp"}
    assert not plans["ddp"].fits
    assert not plans["fsdp"].fits  # twelve bytes a number
    (small,) = [p for p in cards_plans("120b", 8, int(141e9), "full", adam="8-bit") if p.fits]
    assert small.strategy == "fsdp"
    trained = small.one.memory.adapter + small.one.memory.gradients + small.one.memory.optimizer
    assert small.mine.trained == pytest.approx(trained * (1 - sharded(config) * 7 / 8), rel=1e-9)
    assert {p.strategy for p in cards_plans("20b", 8, int(80e9), "full") if p.fits} == {"fsdp"}


def test_what_cannot_be_shared_out_has_no_row():
    assert [row[0] for row in cards_rows("20b", "3x80")] == ["ddp"]
    assert [row[0] for row in cards_rows("20b", "4x24", "prefix")] == ["ddp"]
    assert all(len(row) == len(HEADERS) for row in cards_rows("20b", "4x24"))
    for wrong in ("8", "0x80", "8x0", "x80", "8x-1"):
        with pytest.raises(InputError, match="such as 8x80"):
            parsed_cards(wrong)


def test_the_table_of_the_docs_is_the_one_that_is_made():
    from pathlib import Path

    import gptoss_magic

    page = Path(gptoss_magic.__file__).parents[1] / "docs" / "scale-out.md"
    if not page.is_file():
        pytest.skip("no docs here: an installed package")
    assert table() in page.read_text()
    assert table("full", adam="8-bit") in page.read_text()


def test_the_cell_shows_it_and_checks_what_stands_beside():
    shell = new_shell()
    _, shown = run(shell, "%gptoss_tune --like 120b --cards 8x80")
    assert "gpt-oss-120b by experts on 8x80 GB" in shown
    words = {line.split()[0] for line in shown.splitlines() if line}
    assert {"ddp", "ep", "fsdp+ep", "fsdp"} <= words
    _, shown = run(shell, "%gptoss_tune --cards 8x80")
    assert "--cards means something beside --like only" in shown
    _, shown = run(shell, "%gptoss_tune --like 120b --cards 8x80 --steps 4")
    assert "--num-steps means nothing beside it" in shown
