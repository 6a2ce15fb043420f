"""`%gptoss` and `%%gptoss` in a real shell, and options, body, completion and tools alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gptoss_magic
from gptoss_magic.errors import ContextOverflow, InputError
from gptoss_magic.magics.body import expand
from gptoss_magic.magics.complete import candidates
from gptoss_magic.magics.gptoss import PROMPT
from gptoss_magic.magics.options import parse
from gptoss_magic.magics.plain import PLAIN
from gptoss_magic.session import current
from tests.shell_cells import run, tiny_shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    cells = ("%config GptOssMagics.max_tokens = 8",)
    with tiny_shell(tmp_path_factory.mktemp("magics"), 1024, *cells) as shell:
        yield shell


def test_a_prompt_becomes_an_answer(shell):
    result, shown = run(shell, "%%gptoss -o a --seed 3 --temperature 1\nHello")
    assert result.success
    answer = shell.user_ns["a"]
    assert len(answer.raw_tokens) <= 8
    assert answer.provenance["sampling"]["seed"] == 3
    assert f"{len(answer.raw_tokens)} completion tokens" in shown


def test_a_seed_repeats_and_another_does_not(shell):
    answers = []
    for seed in (5, 5, 6):
        run(shell, f"%%gptoss -q -n -t 1.5 -s {seed} -o a\nHello")
        answers.append(shell.user_ns["a"].raw_tokens)
    assert answers[0] == answers[1] != answers[2]


def test_a_drawn_seed_is_recorded_and_repeats(shell):
    run(shell, "%%gptoss -q -n -t 1.5 -o a\nHello")
    first = shell.user_ns["a"]
    seed = first.provenance["sampling"]["seed"]
    run(shell, f"%%gptoss -q -n -t 1.5 -s {seed} -o a\nHello")
    assert shell.user_ns["a"].raw_tokens == first.raw_tokens


def test_a_conversation_goes_on_until_new(shell):
    sizes = []
    for options in ("--new", "", "--new", "--conversation other"):
        run(shell, f"%%gptoss -q -o a {options} -d 2026-01-02\nHello")
        sizes.append(shell.user_ns["a"].usage.prompt_tokens)
    assert sizes[1] > sizes[0] == sizes[2] == sizes[3]


def test_an_answer_shows_itself(shell):
    run(shell, "%%gptoss -q -n -t 0 -o a\nHello")
    shown = shell.display_formatter.format(shell.user_ns["a"])[0]
    assert "tokens/s" in shown["text/plain"]
    assert "<div" in shown["text/html"]


def test_overflow_is_said_before_the_start(shell):
    run(shell, "%%gptoss -q -n\nHello")
    result, _ = run(shell, "%%gptoss --max-tokens 2000\nHello")
    assert isinstance(result.error_in_exec, ContextOverflow)
    assert "--new" in str(result.error_in_exec)
    assert "--max-tokens" in str(result.error_in_exec)


def test_an_overflow_leaves_the_conversation_as_it_was(shell):
    before = dict(current().conversations.latest)
    run(shell, "%%gptoss --max-tokens 2000\nHello")
    assert current().conversations.latest == before


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%gptoss sing", "no such command"),
        ("%%gptoss --loud\nx", "unrecognized"),
        ("%%gptoss -t -1\nx", "temperature"),
        ("%%gptoss -p 7\nx", "top-p"),
        ("%%gptoss -e huge\nx", "invalid choice"),
        ("%%gptoss\n \n", "no prompt"),
        ("%%gptoss -o 7up\nx", "variable name"),
        ("%%gptoss --tool nothing\nx", "no such name"),
        ("%%gptoss --map nothing\nx", "no such name"),
        ("%%gptoss\n{{ nothing_like_that }}", "no such name"),
        ("%%gptoss --system 'open\nx", "close the quote"),
        ("%gptoss load built-in", "--replace"),
    ],
)
def test_an_error_is_one_line(shell, cell, says):
    result, shown = run(shell, cell)
    assert isinstance(result.error_in_exec, InputError)
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1
    assert "InputError" in run(shell, "%gptoss traceback")[1]


def test_a_second_load_and_a_reload_keep_the_model(shell):
    model = current().resident.model
    run(shell, "%gptoss load")
    run(shell, "%reload_ext gptoss_magic")
    assert current().resident.model is model
    assert run(shell, "%%gptoss -q\nHello")[0].success


def test_status_and_help(shell):
    assert "1024 tokens" in run(shell, "%gptoss status")[1]
    assert "%gptoss unload" in run(shell, "%gptoss")[1]
    assert "--temperature" in shell.object_inspect_text("%%gptoss")
    assert "%gptoss load" in shell.object_inspect_text("%gptoss")


def test_stop_strings_end_and_are_cut(shell):
    run(shell, "%%gptoss -q -n -t 1 -s 1 -m 64 -o a\nHello")
    text = shell.user_ns["a"].final
    assert len(text) > 6
    stop = next(c for c in text[3:] if c.isprintable() and c.isascii() and c not in "'\\ \"")
    run(shell, f"%%gptoss -q -n -t 1 -s 1 -m 64 -o a -x '{stop}'\nHello")
    answer = shell.user_ns["a"]
    assert answer.finish == "stop"
    assert answer.final == text[: text.index(stop)]


def test_generate_is_the_same_without_magics(shell):
    run(shell, "%%gptoss -q -n -c c -d 2026-01-02 -o a\nHello")
    answer = gptoss_magic.generate("Hello", date="2026-01-02", max_tokens=8)
    assert answer.raw_tokens == shell.user_ns["a"].raw_tokens


def test_completion(shell):
    assert candidates("%%gptoss --to") == ["--tool", "--top-k", "--top-p"]
    assert candidates("%%gptoss --effort h") == ["high"]
    assert candidates("%gptoss st") == ["status"]
    assert "--context" in candidates("%gptoss load --c")
    assert candidates("print(--to") == []
    found = [c.text for c in shell.Completer.completions("%%gptoss --temp", 15)]
    assert found == ["--temperature"]


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_expressions_passes_untouched(text):
    assert expand(text, {}) == text


@pytest.mark.parametrize(
    "text", ['{"a": {"b": 1}}', r"\frac{1}{2}", "{% if x %}", "{# no #}", "$x {y}", "{{"]
)
def test_braces_json_and_latex_pass(text):
    assert expand(text, {"x": 1, "y": 2}) == text


def test_expressions_are_expanded_once():
    names = {"a": "{{ b }}", "b": "secret", "xs": [1, 2]}
    assert expand("{{ a }} {{ xs | length }} {{ xs[1] + 1 }}", names) == "{{ b }} 2 3"


def test_options_strip_quotes():
    assert parse(PROMPT, "--system 'be brief'").system == "be brief"
    assert parse(PLAIN["load"], "built-in -C 512").context == 512


def test_bench_is_a_table_to_paste(shell):
    before = list(current().local_engine.prefixes.held)
    result, shown = run(shell, "%gptoss bench")
    assert result.success
    lines = shown.strip().splitlines()
    assert all(line.startswith("| ") and line.count("|") == 3 for line in lines)
    for name in ("time to first token", "prefill", "decode", "memory", "gptoss_magic"):
        assert sum(line.startswith(f"| {name} |") for line in lines) == 1
    assert list(current().local_engine.prefixes.held) == before
