"""`%gptoss compare`: a grid of answers in a real shell, its figures against the plain score."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.utils.capture import capture_output

from gptoss_magic.adapters import Adapter
from gptoss_magic.agents.persona import Persona, Sampler
from gptoss_magic.errors import GptOssError, InputError
from gptoss_magic.generation.score import log_likelihood
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.compare import MOST, PARSER
from gptoss_magic.magics.complete import candidates
from gptoss_magic.session import current
from gptoss_magic.turns import Axes, Grid, generate, grid
from gptoss_magic.turns.stopping import WORK
from tests.adapter_cases import expert_lora
from tests.shell_cells import run, tiny_shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    cells = ("%config GptOssMagics.max_tokens = 6", "%config GptOssMagics.date = '2026-01-01'")
    with tiny_shell(tmp_path_factory.mktemp("compare"), 1024, *cells) as shell:
        current().shelf.add(Adapter("facts", (expert_lora((1, 2)),)))
        yield shell


def compared(shell, line):
    """(Grid, HTML, text, metadata) of one line."""
    with capture_output() as captured:
        result = shell.run_cell(f"%gptoss compare {line} -o g")
    assert result.success, result.error_in_exec
    out = captured.outputs[-1]
    return shell.user_ns["g"], out.data["text/html"], out.data["text/plain"], out.metadata


def test_a_grid_side_by_side(shell):
    found, html, text, metadata = compared(
        shell, "Say <b>hello</b> -t 0,0.7 -e low,high -a base,facts -s 1,2"
    )
    frame = found.to_frame()
    assert len(frame) == found.total == 12  # greedy: one seed says all
    drawn = frame[frame.temperature == 0.7]
    assert sorted(drawn.seed) == [1] * 4 + [2] * 4
    assert list(frame[frame.temperature == 0].seed) == [1] * 4
    assert set(frame.adapter) == {"base", "facts"}
    assert set(frame.effort) == {"low", "high"}
    assert (frame.num_tokens <= 6).all()
    assert "<b>hello" not in html
    assert html.count("gptoss-answer") == 12 + 1
    assert "temperature 0.7 · effort high · adapter facts · seed 2" in text
    assert "nats/token" in html
    assert len(metadata["gptoss_magic"]["grid"]) == 12


def test_likelihoods_are_those_of_the_answer_under_the_base_and_under_its_maker(shell):
    found, _, text, _ = compared(shell, "Hello -a base,facts -t 0")
    base, facts = found.cells
    assert base.base == base.own
    assert facts.base != facts.own
    for names, value in ((["none"], facts.base), (["facts"], facts.own)):
        with current().using(names):
            prompt_T = facts.answer.provenance["prompt_tokens"]
            said = log_likelihood(current().local_engine, prompt_T, facts.answer.raw_tokens)
        assert value == pytest.approx(said, abs=1e-5)
    assert f"{facts.base:.3f}" in text


def test_a_persona_is_scored_against_the_prompt_without_it(shell):
    sampler = Sampler(temperature=0.3, max_tokens=3)
    current().personas["poet"] = Persona("poet", "Rhyme.", effort="high", sampler=sampler)
    found, _, text, _ = compared(shell, "Hello -P none,poet -a base,facts -t 0 -m 4")
    nobody, _, poet, _ = found.cells
    assert list(found.to_frame().persona) == ["none", "none", "poet", "poet"]
    made = poet.answer.provenance
    assert (made["effort"], made["sampling"]["temperature"]) == ("high", 0)
    assert made["sampling"]["max_tokens"] == 4
    engine = current().local_engine
    asked = generate("Hello", effort="high", date="2026-01-01", max_tokens=1, adapters=["none"])
    bare_T = asked.provenance["prompt_tokens"]
    with current().using(["none"]):
        bare = log_likelihood(engine, bare_T, poet.answer.raw_tokens)
        own = log_likelihood(engine, made["prompt_tokens"], poet.answer.raw_tokens)
    assert (poet.base, poet.own) == pytest.approx((bare, own), abs=1e-5)
    assert nobody.base == nobody.own
    assert "persona poet · adapter facts" in text


def test_each_answer_can_be_had_again_alone(shell):
    found, *_ = compared(shell, "Hello -t 1.2 -s 3,4")
    assert found.cells[0].answer.raw_tokens != found.cells[1].answer.raw_tokens
    run(shell, "%%gptoss -q -n -c other -t 1.2 -s 4 -o a\nHello")
    assert shell.user_ns["a"].raw_tokens == found.cells[1].answer.raw_tokens
    assert "Hello" not in str(current().conversations.messages("default"))


def test_a_seed_is_drawn_once_for_all(shell):
    found, *_ = compared(shell, "Hello -t 0.5,1")
    assert len({cell.answer.provenance["sampling"]["seed"] for cell in found.cells}) == 1


def test_no_axis_is_one_answer(shell):
    found, _, text, _ = compared(shell, "Just this")
    assert found.prompt == "Just this"
    assert len(found.cells) == 1
    assert "as the settings say" in text


def test_an_interrupt_keeps_what_is_done(shell):
    def stop():
        for _ in range(2):  # answers, the second on its way to its likelihoods or behind them
            before = current().last
            while current().last is before:
                time.sleep(0.001)
        WORK.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    with capture_output() as captured:
        result = shell.run_cell(
            f"%gptoss compare Hello -t 1 -s {','.join(map(str, range(60)))} -o g"
        )
    thread.join()
    assert result.success
    found = shell.user_ns["g"]
    assert 0 < len(found.cells) < 60
    assert all(cell.base is not None for cell in found.cells[:-1])
    assert "interrupted, the rest is left out" in captured.stdout
    assert len(found.to_frame()) == len(found.cells)


def test_a_large_grid_is_refused_before_it_begins(shell):
    seeds = ",".join(map(str, range(MOST + 1)))
    result, _ = run(shell, f"%gptoss compare Hello -t 1 -s {seeds}")
    assert isinstance(result.error_in_exec, InputError)
    assert f"{MOST + 1} answers, {MOST} at most" in str(result.error_in_exec)
    found, *_ = compared(shell, f"Hello -t 1 -m 1 --yes -s {seeds}")
    assert len(found.cells) == MOST + 1


@pytest.mark.parametrize(
    "line",
    [
        "Hello -a nobody",
        "Hello -P nobody",
        "Hello -t x",
        "Hello -t -1",
        "Hello -e huge",
        "Hello -s 1.5",
        "",
    ],
)
def test_what_cannot_be_is_one_line(shell, line):
    result, _ = run(shell, f"%gptoss compare {line}")
    assert isinstance(result.error_in_exec, GptOssError)
    assert "\n" not in str(result.error_in_exec)


def test_completion(shell):
    assert candidates("%gptoss compare hi --adapter f") == ["facts"]
    assert "--seed" in candidates("%gptoss compare hi --s")


def test_from_a_script(shell):
    cells = tuple(grid("Hello", Axes(temperature=(0.0,), adapter=("facts",)), max_tokens=3))
    frame = Grid("Hello", 1, cells).to_frame()
    assert list(frame.adapter) == ["facts"]


numbers = st.lists(st.floats(0, 5), min_size=1, max_size=4)
seeds = st.lists(st.integers(0, 2**62), min_size=1, max_size=4)


@given(numbers, seeds, st.lists(st.sampled_from(["low", "high"]), max_size=2))
def test_a_line_is_read_as_it_was_written(temperatures, several, efforts):
    line = f"hi -t {','.join(map(repr, temperatures))} -s {','.join(map(str, several))}"
    line += f" -e {','.join(efforts)}" if efforts else ""
    read = opt.parse(PARSER, line)
    assert read.temperature == tuple(temperatures)
    assert (read.seed, read.effort) == (tuple(several), tuple(efforts))
    points = Axes(read.temperature, read.effort, seed=read.seed).points()
    assert len({tuple(p.items()) for p in points}) == len(points)
    greedy = [p for p in points if p["temperature"] == 0]
    assert {p["temperature"] for p in points} == set(temperatures)
    assert len(greedy) == (0.0 in temperatures) * max(1, len(set(efforts)))
