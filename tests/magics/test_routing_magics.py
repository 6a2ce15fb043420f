"""`--routing`, probes and `%gptoss routing` in a real shell."""

import json
import re

import numpy as np
import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.magics.complete import candidates
from gptoss_magic.model.router import routers
from gptoss_magic.routing.compare import compare
from gptoss_magic.routing.scores import Scores
from gptoss_magic.session import current
from tests.shell_cells import run, tiny_shell

DATE = "2026-01-02"


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    date = f"%config GptOssMagics.date = '{DATE}'"
    cells = (date, "%config GptOssMagics.max_tokens = 12")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPTOSS_MAGIC_CACHE", str(tmp_path_factory.mktemp("cache")))
        with tiny_shell(tmp_path_factory.mktemp("routing"), 1024, *cells) as shell:
            yield shell


def shown(shell, value):
    return shell.display_formatter.format(value)[0]


def test_an_answer_has_its_routing_where_asked(shell):
    run(shell, "%%gptoss -q -n -t 0 -o a\nHello")
    assert shell.user_ns["a"].routing is None
    result, _ = run(shell, "%%gptoss -q -n -t 0 --routing -o b\nHello")
    assert result.success
    answer = shell.user_ns["b"]
    assert answer.raw_tokens == shell.user_ns["a"].raw_tokens
    trace, size = answer.routing, len(answer.raw_tokens) + answer.usage.prompt_tokens - 1
    assert trace.ids.shape == trace.weights.shape == (size, 2, 2)
    assert len(trace.channels) == size
    assert {"system", "user", "header"} <= set(trace.channels)
    run(shell, "%config GptOssMagics.routing = True")
    run(shell, "%%gptoss -q -o c\nMore")
    run(shell, "%config GptOssMagics.routing = False")
    assert shell.user_ns["c"].usage.cached_tokens > 0
    assert len(shell.user_ns["c"].routing.ids) > size


def test_a_probe_is_labelled_and_leaves_nothing(shell):
    run(shell, "%%gptoss -q -n -t 0 -o free\nHello")
    kept = list(current().conversations.messages("default"))
    held = current().local_engine.prefixes.held["default"].tokens[:]
    cell = "%%gptoss -n -t 0 -R --mask-experts 0:0-3 --force-experts 1:5 -o a\nHello"
    result, text = run(shell, cell)
    assert result.success
    answer = shell.user_ns["a"]
    label = "probe: masked experts 0:0-3; forced experts 1:5"
    assert label in text
    assert label in shown(shell, answer)["text/html"]
    assert answer.provenance["probe"] == {"mask": "0:0-3", "force": "1:5"}
    assert answer.usage.cached_tokens == 0
    assert (answer.routing.ids[:, 0] > 3).all()
    assert (answer.routing.ids[:, 1] == 5).any(1).all()
    assert current().conversations.messages("default") == kept
    assert current().local_engine.prefixes.held["default"].tokens == held
    assert all(router.probe is None for router in routers(current().resident.model))
    run(shell, "%%gptoss -q -n -t 0 -o again\nHello")
    assert shell.user_ns["again"].raw_tokens == shell.user_ns["free"].raw_tokens
    assert "probe" not in shell.user_ns["again"].provenance


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%gptoss --mask-experts 9:1\nx", "layers go from 0 to 1"),
        ("%%gptoss --mask-experts 0:*\nx", "experts left"),
        ("%%gptoss --force-experts 3\nx", "LAYER:EXPERT"),
        ("%%gptoss --map rows --mask-experts 0:1\nx", "leave --mask-experts out"),
        ("%gptoss routing", "required"),
        ("%gptoss routing nothing_here", "no such name"),
        ("%gptoss routing compare prompts", "give two"),
        ("%gptoss routing number", "cannot read"),
        ("%gptoss routing empty", "no data"),
        ("%gptoss routing foreign", "tokens mean nothing"),
        ("%gptoss routing broken.jsonl", "no such name"),
        ("%gptoss routing prompts -o 7up", "variable name"),
    ],
)
def test_an_error_is_one_line_and_changes_nothing(shell, cell, says):
    from dataclasses import replace

    run(shell, "%%gptoss -q -n -t 0 -o a\nHello")
    answer = shell.user_ns["a"]
    foreign = replace(answer, provenance={**answer.provenance, "weights": "other"})
    names = {"number": [3], "empty": [], "foreign": foreign, "prompts": ["One", "Two words"]}
    shell.user_ns.update(names)
    before = dict(current().conversations.latest)
    result, text = run(shell, cell)
    assert isinstance(result.error_in_exec, InputError)
    assert says in str(result.error_in_exec)
    assert len(text.strip().splitlines()) == 1
    assert current().conversations.latest == before


def test_data_is_answered_then_scored(shell):
    shell.user_ns["prompts"] = ["One", "Two words", "And three of them"]
    result, text = run(shell, "%gptoss routing prompts --max-tokens 9 -o scores")
    assert result.success, result.error_in_exec
    scores = shell.user_ns["scores"]
    assert scores.num_samples == 3
    assert "entropy" in text
    answers = [
        gptoss_magic.generate(text, date=DATE, temperature=0, max_tokens=9)
        for text in shell.user_ns["prompts"]
    ]
    direct = gptoss_magic.score_routing(answers)
    for channel in direct.share:
        np.testing.assert_allclose(scores.share[channel], direct.share[channel], atol=1e-6)
        np.testing.assert_allclose(scores.reap[channel], direct.reap[channel], rtol=1e-3)
    run(shell, "%gptoss routing prompts -P -o only")
    assert shell.user_ns["only"].tokens["all"] == sum(map(len, shell.user_ns["prompts"]))
    assert scores.baseline.num_samples == 13


def test_answers_with_routing_need_no_forward(shell):
    run(shell, "%%gptoss -q -n -t 0 -R -o a\nHello")
    answer = shell.user_ns["a"]
    scores = gptoss_magic.score_routing(answer)
    assert not scores.reap
    kept = ~np.isin(answer.routing.channels, ["header", "system"])
    counts = np.bincount(answer.routing.ids[kept, 1].ravel(), minlength=8)
    np.testing.assert_allclose(scores.share["all"][1], counts / counts.sum())


def test_files_and_frames(shell, tmp_path):
    import pandas as pd

    texts = ["One line", "and another"]
    (tmp_path / "a.txt").write_text("\n\n".join(texts))
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"prompt": t}) for t in texts))
    (tmp_path / "bad.jsonl").write_text("{")
    shell.user_ns["frame"] = pd.DataFrame({"id": [1, 2], "question": texts})
    shell.user_ns["listed"] = texts
    for data in (f"'{tmp_path}/a.txt'", f"'{tmp_path}/b.jsonl'", "frame", "'One line' listed"):
        result, _ = run(shell, f"%gptoss routing {data} -P -o s")
        assert result.success, result.error_in_exec
        assert shell.user_ns["s"].num_samples == (3 if "listed" in data else 2)
    result, _ = run(shell, f"%gptoss routing '{tmp_path}/bad.jsonl'")
    assert "bad.jsonl" in str(result.error_in_exec)


def test_compare_texts_scores_and_answers(shell):
    run(shell, "%gptoss routing 'some plain words' -P -o plain")
    result, text = run(shell, "%gptoss routing compare plain 'x = [1, 2, 3]' -P -o found")
    assert result.success, result.error_in_exec
    found = shell.user_ns["found"]
    assert found.a is shell.user_ns["plain"]
    assert 0 < found.distance().mean() <= 1
    assert "Jensen-Shannon" in text
    html = shown(shell, found)["text/html"]
    assert "→" in html
    assert "some plain words" in html
    run(shell, "%%gptoss -q -n -t 0 -R -o a\nHello")
    run(shell, "%gptoss routing compare a a -o same")
    assert (shell.user_ns["same"].distance() == 0).all()
    assert shown(shell, shell.user_ns["same"])["text/html"]


def test_an_interrupt_leaves_nothing_half(shell):
    engine = current().local_engine
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt

    shell.user_ns.pop("half", None)
    handle = engine.model.model.layers[1].register_forward_pre_hook(stop)
    result, _ = run(shell, "%gptoss routing 'some words' 'and more words' -o half")
    handle.remove()
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert "half" not in shell.user_ns
    assert all(not router.watchers for router in routers(engine.model))
    assert all(not layer.mlp.experts.taps for layer in engine.model.model.layers)


def test_base_and_adapter_are_scored_apart(shell):
    import torch

    from gptoss_magic.adapters import Adapter
    from gptoss_magic.model.parts import RouterDelta, SoftPrompt

    bias = torch.zeros(8)
    bias[3] = 50.0
    delta = RouterDelta("model.layers.1.mlp.router", torch.zeros(8, 64), bias)
    shelf = current().shelf
    shelf.add(Adapter("three", (delta,)))
    shelf.add(Adapter("soft", (SoftPrompt(torch.randn(5, 64)),)))
    for name in ("none", "three", "soft"):
        line = f"%gptoss routing 'some plain words' -m 5 --adapter {name} -o {name}"
        result, _ = run(shell, line)
        assert result.success, result.error_in_exec
    none, three, soft = (shell.user_ns[name] for name in ("none", "three", "soft"))
    assert three.share["all"][1, 3] == pytest.approx(0.5)
    assert none.share["all"][1, 3] < 0.5
    assert three.about["adapters"] == ["three"]
    np.testing.assert_array_equal(three.baseline.share["all"], none.baseline.share["all"])
    assert soft.tokens["prompt"] == none.tokens["prompt"]
    assert not np.array_equal(soft.gate["prompt"], none.gate["prompt"])
    result, text = run(shell, "%gptoss routing compare none three")
    assert result.success
    assert "some plain words (three)" in text
    run(shell, "%%gptoss -q -n -t 0 -m 5 -a soft -R -o a\nsome plain words")
    trace = shell.user_ns["a"].routing
    assert len(trace.ids) == shell.user_ns["a"].usage.prompt_tokens + 4
    run(shell, "%%gptoss -q -n -t 0 -m 5 -a soft -R --mask-experts 0:0 -o b\nsome plain words")
    assert (shell.user_ns["b"].routing.ids[:, 0] != 0).all()
    for name in ("three", "soft"):
        shelf.detach(name)
        assert gptoss_magic.score_routing("some plain words", max_tokens=5).about["adapters"] == []


def wide(num_layers, num_experts, seed=0):
    draw = np.random.default_rng(seed)

    def rows():
        names = ("all", "prompt", "analysis", "final")
        return {n: draw.dirichlet(np.full(num_experts, 0.5), num_layers) for n in names}

    base = Scores(rows(), rows(), {}, dict.fromkeys(rows(), 9), 2, 4)
    return Scores(
        rows(), rows(), rows(), dict.fromkeys(rows(), 9), 2, 4, {"title": "<b>x</b>"}, base
    )


@pytest.mark.parametrize("shape", [(36, 128), (24, 32), (30, 4), (2, 300)])
def test_maps_are_small_and_say_every_number(shell, shape):
    scores = wide(*shape)
    html = shown(shell, scores)["text/html"]
    assert len(html.encode()) < 400_000
    assert "<script" not in html
    assert "<style" not in html
    assert "<svg" not in html
    assert "<b>x</b>" not in html
    first = re.search(r"<pre.*?</pre>", html, re.DOTALL)[0]
    titles = re.findall(r'title="(\d+):(\d+) ([\d.]+)%', first)
    assert len(titles) == shape[0] * shape[1]
    for layer, expert, percent in titles:
        wanted = 100 * scores.share["all"][int(layer), int(expert)]
        assert float(percent) == pytest.approx(wanted, abs=0.051)
    cells = [
        sum(len(space) for space in re.findall(r">( +)</b>", line))
        for line in first.split("\n")[1:]
    ]
    assert len(set(cells)) == 1  # the columns stand below each other
    difference = shown(shell, compare(scores, wide(*shape, seed=1)))["text/html"]
    assert len(difference.encode()) < 400_000
    assert shown(shell, scores)["text/plain"].count("\n") <= 6


def test_completion_offers_the_command():
    assert "routing" in candidates("%gptoss ro")
    assert candidates("%gptoss routing --pro") == ["--prompts-only"]
    assert candidates("%gptoss routing com") == ["compare"]
    assert "--mask-experts" in candidates("%%gptoss --mask")
