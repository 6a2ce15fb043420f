"""Branches and edited analyses: the numbers of a run without a cache, all else in its place."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gptoss_magic
from gptoss_magic.adapters import Adapter
from gptoss_magic.adapters.write import write_adapter
from gptoss_magic.errors import InputError
from gptoss_magic.magics.prompt import named
from gptoss_magic.model.kv_cache import KVCache
from gptoss_magic.records import Message, Passage
from gptoss_magic.records.provenance import Provenance
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.turns.surgery import last_turn_of
from tests.adapter_cases import expert_lora, mixed
from tests.shell_cells import run, tiny_shell

ASK = {"effort": "low", "date": "2026-01-01"}
WILD = {"temperature": 2, "max_tokens": 3}
THOUGHT = "Käse, 漢字 🧀 thought of"


@pytest.fixture(scope="module", autouse=True)
def shell(tmp_path_factory):
    cells = ("%config GptOssMagics.max_tokens = 8",)
    with tiny_shell(tmp_path_factory.mktemp("surgery"), 2048, *cells) as shell:
        yield shell


@pytest.fixture(scope="module")
def answer(shell):
    """One with both channels, many-byte characters and a cut end."""
    first = gptoss_magic.generate("Hello", temperature=1.5, seed=1, max_tokens=24, **ASK)
    return gptoss_magic.refine(first, THOUGHT, temperature=0, seed=1, max_tokens=20)


def long_answer(prompt, **how):
    """The first seed's that runs to its length."""
    how = {"temperature": 1.5, "max_tokens": 30, **ASK, **how}
    made = (gptoss_magic.generate(prompt, seed=seed, **how) for seed in range(20))
    return next(answer for answer in made if answer.finish == "length")


def test_a_provenance_has_no_key_that_its_type_does_not_know(answer):
    assert answer.provenance["surgery"]["kind"] == "refine"
    assert set(answer.provenance) - set(Provenance.__annotations__) == set()


def test_an_edited_analysis_stands_and_final_is_new(answer):
    assert answer.analysis == THOUGHT
    assert [m.channel for m in answer.messages[:2]] == ["analysis", "final"]
    assert answer.provenance["surgery"]["kind"] == "refine"
    gptoss_magic.refine(answer, THOUGHT, seed=1, max_tokens=1)  # what stood is in the cache
    again = gptoss_magic.refine(answer, THOUGHT[:-3], seed=1)
    codec = current().codec
    shared = len(codec.encode(f"analysis{THOUGHT[:-3]}")) + 2
    prompt = len(answer.provenance["prompt_tokens"])
    assert again.usage.cached_tokens == prompt + shared
    cold = gptoss_magic.refine(answer, THOUGHT[:-3], seed=1, cold=True)
    assert cold.usage.cached_tokens == 0
    assert again.raw_tokens == cold.raw_tokens
    assert again.analysis == THOUGHT[:-3]
    assert gptoss_magic.refine(answer, "").analysis == ""


@settings(max_examples=25)
@given(st.data(), st.sampled_from([0.0, 1.5]), st.sampled_from(["", "ü", "no, wait"]))
def test_a_branch_at_any_token_is_what_a_cold_run_says(answer, data, temperature, text):
    """Within headers and characters too."""
    at = data.draw(st.integers(0, len(answer.raw_tokens)))
    how = {"text": text, "temperature": temperature, "seed": at, "max_tokens": 6}
    made = gptoss_magic.branch(answer, at, **how)
    cold = gptoss_magic.branch(answer, at, cold=True, **how)
    assert made.raw_tokens == cold.raw_tokens
    assert (made.final, made.analysis, made.messages) == (cold.final, cold.analysis, cold.messages)
    codec = current().codec
    kept = [*answer.raw_tokens[:at], *codec.encode(text)]
    assert list(made.raw_tokens[: len(kept)]) == kept
    fed = len(answer.provenance["prompt_tokens"]) + len(kept)
    assert made.usage.prompt_tokens == fed
    assert made.usage.completion_tokens == len(made.raw_tokens) - len(kept)
    assert made.provenance["surgery"] == {"kind": "branch", "at": at, "kept_tokens": len(kept)}
    warm = gptoss_magic.branch(answer, at, **how)
    assert warm.usage.cached_tokens == fed - 1  # the last one gives the first logits
    assert warm.raw_tokens == cold.raw_tokens


def test_the_cache_of_an_answer_serves_its_branches():
    first = long_answer("Once")
    prompt = len(first.provenance["prompt_tokens"])
    for at in (len(first.raw_tokens) - 1, 20, 9, 21):
        made = gptoss_magic.branch(first, at, seed=9, max_tokens=4)
        assert made.usage.cached_tokens == prompt + at - 1


def test_a_greedy_branch_says_the_same_and_a_cut_answer_goes_on(answer):
    kept = answer.provenance["surgery"]["kept_tokens"]
    for at in (kept, kept + 7, len(answer.raw_tokens) - 4):
        made = gptoss_magic.branch(answer, at)
        assert made.raw_tokens[: len(answer.raw_tokens)] == answer.raw_tokens
    assert answer.finish == "length"
    longer = gptoss_magic.branch(answer, max_tokens=10)
    assert longer.raw_tokens[: len(answer.raw_tokens)] == answer.raw_tokens
    assert len(longer.raw_tokens) > len(answer.raw_tokens)


def test_another_temperature_and_seed_go_elsewhere(answer):
    made = {gptoss_magic.branch(answer, 30, temperature=2, seed=n).raw_tokens for n in range(3)}
    assert len(made) == 3
    assert gptoss_magic.branch(answer, 30).provenance["sampling"]["temperature"] == 0


def test_stop_strings_see_what_is_kept(answer):
    draws = (gptoss_magic.branch(answer, 57, text="or n", seed=n, **WILD) for n in range(60))
    made = next(a for a in draws if a.final[4:5].isalpha() and a.final[4:5].isascii())
    seed, stop = made.provenance["sampling"]["seed"], made.final[3:5]
    made = gptoss_magic.branch(answer, 57, text="or n", seed=seed, stop=(stop,), **WILD)
    assert (made.finish, made.final, stop[0]) == ("stop", "or ", "n")


def test_routes_are_those_of_a_cold_run():
    first = long_answer("Hello", routing=True)
    made, cold = (gptoss_magic.branch(first, 9, seed=2, cold=c, max_tokens=9) for c in (0, 1))
    assert made.usage.cached_tokens == len(first.provenance["prompt_tokens"]) + 8
    assert made.routing.ids.shape[0] == made.usage.prompt_tokens + len(made.raw_tokens) - 9 - 1
    assert (made.routing.ids == cold.routing.ids).all()
    assert made.routing.channels == cold.routing.channels
    assert gptoss_magic.refine(first, "so").routing is not None


def test_passages_and_their_citations_stay():
    passage = Passage(1, "notes", "a.md", "", 1, 2, "It is\ntrue.")
    first = gptoss_magic.generate("Is it?", passages=[passage], max_tokens=5, seed=1, **ASK)
    made = gptoss_magic.branch(first, 0, text="It is 【1†L2】 and 【1†L9】. ", max_tokens=1)
    assert made.passages == (passage,)
    assert [c.valid for c in made.citations[:2]] == [True, False]
    assert made.provenance["passages"] == first.provenance["passages"]


def test_the_last_turn_of_a_conversation_is_replaced():
    talk = {"conversation": "talk", "max_tokens": 12, "temperature": 1.5, **ASK}
    first = gptoss_magic.generate("One", seed=1, **talk)
    made = gptoss_magic.refine(first, "Thinking.", seed=2)
    kept = current().conversations.messages("talk")
    assert kept == [Message("user", "One"), *(m for m in made.messages if m.content)]
    assert current().last is made
    second = gptoss_magic.generate("Two", seed=3, **talk)
    assert second.usage.cached_tokens >= len(made.provenance["prompt_tokens"])
    before = list(current().conversations.messages("talk"))
    assert last_turn_of(made) is last_turn_of(first) is None
    assert last_turn_of(second).conversation == "talk"
    gptoss_magic.branch(made, 3)
    assert current().conversations.messages("talk") == before


def test_the_calls_of_a_run_stay_before_what_is_changed(shell):
    run(shell, "def add(a: int, b: int) -> int:\n    'Add.'\n    return a + b")
    run(shell, "%gptoss tools allow add")
    calls = [calling("add", f'{{"a": {n}, "b": 2}}', "Adding.") for n in (1, 2)]
    with scripted(current(), *calls, saying("Three and four.", "Done.")):
        run(shell, "%%gptoss -q -n -m 200 -c run --tool add -o a\nAdd.")
    first = shell.user_ns["a"]
    before = [m for m in first.messages if m.channel == "commentary"]
    assert [m.content for m in before if m.role == "tool"] == ["3", "4"]
    made = first
    for change in (lambda a, **how: gptoss_magic.refine(a, "So.", **how), gptoss_magic.branch):
        made = change(made, max_tokens=9)
        assert current().last is made
        assert made.steps == first.steps
        kept = current().conversations.messages("run")
        assert [m for m in kept if m.channel == "commentary"][:4] == before
        assert kept[1:] == [m for m in made.messages if m.content]


def test_a_probe_is_repeated_and_not_kept():
    first = gptoss_magic.generate("Hello", temperature=0, mask_experts="*:1", **ASK, max_tokens=9)
    made = gptoss_magic.branch(first, 4)
    assert made.raw_tokens[:9] == first.raw_tokens
    assert made.provenance["probe"] == first.provenance["probe"]


@pytest.fixture(scope="module")
def adapters(shell, tmp_path_factory):
    """Names of two adapters, attached from their directories."""
    folder, model = tmp_path_factory.mktemp("adapters"), current().require().model
    other = Adapter("other", (expert_lora(range(8), layer=0, seed=20),))
    for adapter in (mixed("some"), other):
        write_adapter(adapter, model, folder / adapter.name)
        assert run(shell, f"%gptoss lora attach {folder / adapter.name}")[0].success
        run(shell, f"%gptoss lora scale {adapter.name} 300")  # so that the words differ
    yield "some", "other"
    for name in ("some", "other"):
        current().shelf.detach(name)


def held_keys(name, ids):
    """(keys and values in the engine's cache of exactly these tokens, the same computed anew)."""
    resident, engine = current().require(), current().local_engine
    with current().using([name]) as active, torch.no_grad():
        found = next(
            held
            for held in engine.prefixes.held.values()
            if held.beside.key == active.key and held.tokens == ids
        )
        fresh = KVCache(resident.model.config)
        resident.model(torch.tensor([ids]), past_key_values=fresh, use_cache=True)
    return tuple(
        torch.cat([t[..., : len(ids), :].flatten() for t in kv_of(cache)])
        for cache in (found.cache, fresh)
    )


def kv_of(cache):
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


@pytest.mark.parametrize("name", ["some", "other", "none"])
def test_an_answer_is_changed_beside_the_adapter_that_made_it(shell, adapters, name):
    """Whatever stands beside the model by then; and its cache is of that adapter alone."""
    # the same prompt beside all, in one conversation
    for each in sorted(("some", "other", "none"), key=lambda each: each == name):
        line = f"%%gptoss -q -n -c beside -a {each} -t 1.5 -s 1 -m 12 -o {each}_made\nHello"
        assert run(shell, line)[0].success
    first = shell.user_ns[f"{name}_made"]
    assert len({shell.user_ns[f"{each}_made"].raw_tokens for each in (*adapters, "none")}) == 3
    for default in ("other", "none"):
        run(shell, f"%gptoss lora use {default}")
        for line in ("%%gptoss --edit -q {} -o {}\nSo.", "%gptoss branch 4 -q {} -o {}"):
            how = f"--of {name}_made -t 1.5 -s 2 -m 8"
            assert run(shell, line.format(how, "warm"))[0].success
            assert run(shell, line.format(f"{how} --cold", "cold"))[0].success
            warm, cold = shell.user_ns["warm"], shell.user_ns["cold"]
            assert warm.provenance["adapters"] == first.provenance["adapters"]
            assert warm.usage.cached_tokens >= len(first.provenance["prompt_tokens"])
            assert cold.usage.cached_tokens == 0
            assert warm.raw_tokens == cold.raw_tokens
            ids = [*warm.provenance["prompt_tokens"], *warm.raw_tokens[:-1]]
            held, fresh = held_keys(name, ids)
            torch.testing.assert_close(held, fresh, rtol=0, atol=2e-5 * fresh.abs().max().item())
    run(shell, "%gptoss lora use none")


def test_an_adapter_that_changed_since_is_asked_for(shell, adapters):
    run(shell, "%%gptoss -q -n -a some -m 6 -o a\nHello")
    run(shell, "%gptoss lora scale some 0.5")
    result, _ = run(shell, "%gptoss branch 2 --of a")
    assert "adapter some is not attached as it was" in str(result.error_in_exec)
    run(shell, "%gptoss lora scale some 300")
    assert run(shell, "%gptoss branch 2 --of a")[0].success


def test_a_proposal_is_made_beside_the_adapter_of_the_answer(shell, adapters):
    run(shell, "%%gptoss -q -n -c reflected -a some -m 6 -t 1.5 -s 1\nHello")
    made = current().last.provenance["adapters"]
    run(shell, "%gptoss lora use other")
    for _ in range(2):
        assert run(shell, "%gptoss reflect --keep")[0].success
        assert current().proposal.proposal.provenance["adapters"] == made
        run(shell, "%gptoss lora use none")


def test_what_cannot_be_is_said(answer):
    size = len(answer.raw_tokens)
    for at in (-1, size + 1):
        with pytest.raises(InputError, match=f"tokens 0 to {size - 1}"):
            gptoss_magic.branch(answer, at)
    with pytest.raises(InputError, match="it came to its end"):
        gptoss_magic.branch(replace(answer, finish="return"))
    other = replace(answer, provenance={**answer.provenance, "weights": "x", "model": "other"})
    with pytest.raises(InputError, match="the answer is of other"):
        gptoss_magic.branch(other, 1)
    beside = {"name": "gone", "uid": "u", "scale": 1.0, "path": ""}
    lost = replace(answer, provenance={**answer.provenance, "adapters": [beside]})
    with pytest.raises(InputError, match="adapter gone is not attached as it was"):
        gptoss_magic.branch(lost, 1)
    assert gptoss_magic.branch(lost, 1, adapters=["none"]).provenance["adapters"] == []
    (call,) = calling("add", "{}")
    with pytest.raises(InputError, match="calls a tool"):
        gptoss_magic.refine(replace(answer, messages=(call,)), "y")


def test_tokens_show_every_place(answer):
    shown = gptoss_magic.tokens(answer)
    assert [token.index for token in shown] == list(range(len(answer.raw_tokens)))
    assert shown[0].channel == "header"
    said = [token for token in shown if token.channel == "analysis"]
    assert "".join(token.text for token in said[:1]) == "K"
    assert "\\xc3" in [token.text for token in said]


def test_cells_edit_and_branch(shell):
    run(shell, "%%gptoss -o a -t 1.5 -s 1 -n -c cells\nHello")
    result, shown = run(shell, "%%gptoss --edit -o b -t 0\nOf {{ 1 + 1 }} things.")
    assert result.success
    made = named("", "b", shell.user_ns)
    assert made.analysis == "Of 2 things."
    assert "analysis edited" in shown
    assert "no conversation" not in shown
    assert current().conversations.messages("cells")[1:] == [m for m in made.messages if m.content]
    _, shown = run(shell, "%gptoss branch 2 --of a -s 3 -o c")
    assert "no conversation ends with that answer" in shown
    assert "branched at 2" in shown
    assert shell.user_ns["c"].raw_tokens[:2] == shell.user_ns["a"].raw_tokens[:2]


def test_branches_by_line_and_by_cell(shell):
    run(shell, "%%gptoss -o a -t 1.5 -s 1 -n -c cells\nHello")
    _, shown = run(shell, "%gptoss branch 4 -s 3 -o b")
    assert "branched at 4" in shown
    assert shell.user_ns["b"].raw_tokens[:4] == shell.user_ns["a"].raw_tokens[:4]
    run(shell, "%%gptoss --branch 4 --of a -s 3 -q -o c\n, so")
    codec = current().codec
    assert list(shell.user_ns["c"].raw_tokens[4:8]) == codec.encode(", so")
    run(shell, "%%gptoss --branch 4 --of a -s 3 -q -o d\n ")
    assert shell.user_ns["d"].raw_tokens == shell.user_ns["b"].raw_tokens
    _, shown = run(shell, "%gptoss tokens a")
    assert " 3" in shown
    assert shown == run(shell, "%gptoss tokens a")[1] != run(shell, "%gptoss tokens c")[1]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%gptoss --edit --branch 1\nx", "leave --branch out"),
        ("%%gptoss --edit --system y\nx", "leave --system out"),
        ("%%gptoss --branch 1 -e low\nx", "--effort"),
        ("%%gptoss --edit --of nothing\nx", "no such name"),
        ("%gptoss tokens In", "no Answer"),
        ("%gptoss branch 99999", "tokens 0 to"),
    ],
)
def test_an_error_is_one_line(shell, cell, says):
    run(shell, "%%gptoss -q -n\nHello")
    result, shown = run(shell, cell)
    assert isinstance(result.error_in_exec, InputError)
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1
