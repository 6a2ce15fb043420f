"""`%gptoss evaluate SUITE…` in a shell: plan, tables, picture, flips, completion, errors."""

import json
from dataclasses import replace

import pytest
from IPython.utils.capture import capture_output

from gptoss_magic.magics.complete import candidates
from gptoss_magic.records.evaluations import Evaluated
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from tests.shell_cells import run, tiny_shell
from tests.studies.test_evaluate import ASKED, ROWS


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("evaluate"), 2048) as shell:
        yield shell


@pytest.fixture
def items(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return path


def say(prompt):
    number = int(ASKED.findall(prompt)[-1])
    is_low = "Reasoning: low" in prompt
    right = number > 15 if is_low else number < 15
    return saying(str(number + 1) if right else "<b>0</b>", f"It is {'low' if is_low else 'not'}.")


def evaluated(shell, line):
    """(result, shown as text, as HTML, metadata)."""
    with scripted(current(), always=say), capture_output() as captured:
        result = shell.run_cell(line)
    texts = [output.data["text/plain"] for output in captured.outputs]
    htmls = [output.data.get("text/html", "") for output in captured.outputs]
    metadata = [output.metadata or {} for output in captured.outputs]
    text = "\n".join([captured.stdout, *texts])
    return result, text, "".join(htmls), metadata


def test_a_plan_comes_first_then_scores_comparison_and_flips(shell, items):
    line = f"%gptoss evaluate --data '{items}' --arms base,effort:low -o found"
    result, text, html, metadata = evaluated(shell, line)
    assert result.success
    assert text.index("40 of 40 answers graded") >= 0
    for words in (
        "sums: 20 items of sums, at most 1,024 tokens an answer",
        "seen to differ from about 39 points on (80 % power, all that differ one way)",
        "40 answers by 2 arms (base, effort:low)",
        "75.0%",
        "20.0%",
        "−55.0",
        "exact McNemar, 20 items",
        "right → wrong (base → effort:low)",
    ):
        assert words in text, words
    assert text.index("right → wrong") < text.index("wrong → right")
    assert "<script" not in html
    assert "<b>0</b>" not in html
    assert "&lt;b&gt;0&lt;/b&gt;" in html
    assert 'alt="sums, right answers against tokens: base 75%' in html
    assert "The reasoning parts at character 6" in html
    made = shell.user_ns["found"]
    assert isinstance(made, Evaluated)
    assert made.scores[0].score == 0.75
    (record,) = [one["gptoss_magic"]["evaluation"] for one in metadata if one]
    assert set(record["arms"]) == {"base", "effort:low"}
    json.dumps(record)


def test_only_the_plan(shell, items):
    result, text, *_ = evaluated(shell, f"%gptoss evaluate -d '{items}' --limit 5 --plan -o none")
    assert result.success
    assert "5 items" in text
    assert "answers graded" not in text
    assert "none" not in shell.user_ns


def test_the_same_line_goes_on_and_new_asks_again(shell, items):
    line = f"%gptoss evaluate --data '{items}' --limit 4"
    evaluated(shell, line)
    assert "4 are kept from before" in evaluated(shell, line)[1]
    assert "are kept from before" not in evaluated(shell, f"{line} --new")[1]


def test_a_variable_holds_items_and_rows(shell, items):
    shell.user_ns["sums"] = ROWS
    shell.user_ns["tuned"] = [{"prompt": "What is 3 + 1?", "completion": "4"}]
    _, text, *_ = evaluated(
        shell, f"%gptoss evaluate --data sums --rows tuned -J '{items.parent}/j'"
    )
    assert "Items that share text with tuning rows: 1." in text
    assert "Without the items that stand in tuning rows." in text
    assert "the question" in text


def test_private_items_are_shown_by_their_names(shell, items):
    rows = [{**row, "private": True, "id": f"p{n}"} for n, row in enumerate(ROWS)]
    shell.user_ns["secret"] = rows
    line = "%gptoss evaluate --data secret --arms base,effort:low"
    _, text, html, metadata = evaluated(shell, line)
    assert "data p1: right → wrong" in text
    assert "a private item: not shown" in html
    for shown in (text, html, repr(metadata)):
        assert "What is" not in shown
        assert "It is low" not in shown


def test_cut_arms_are_refused_in_the_table(shell, items):
    line = f"%gptoss evaluate --data '{items}' --arms base,effort:low --max-tokens 30 --new"
    with scripted(current(), always=lambda prompt: saying("1", "." * 40 * ("low" in prompt))):
        _, text = run(shell, line)
    assert "raise --max-tokens, or compare by --force" in text


def test_without_anything_the_suites_are_listed(shell):
    result, text = run(shell, "%gptoss evaluate")
    assert result.success
    for name in ("gsm8k", "human-eval", "held-out", "retrieval", "questions"):
        assert name in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gsmk8", "suite gsmk8: there is none of that name; did you mean gsm8k?"),
        ("retrievel x y", "did you mean"),
        ("--data nosuch.jsonl", "nosuch.jsonl: No such file"),
        ("gsm8k --arms nosuch", "'nosuch' is no part of one"),
        ("gsm8k --limit 0", "limit 0: give 1"),
        ("gsm8k --tries 0", "tries 0: give 1"),
        ("gsm8k --effort low", "unrecognized arguments"),
        ("gsm8k --date never", "date 'never'"),
        ("held-out:nosuch", "no run lies there"),
        ("gsm8k -m 0", "give 1 or more"),
    ],
)
def test_a_line_that_cannot_be_is_one_line(shell, line, words):
    _, text = run(shell, f"%gptoss evaluate {line}")
    last = text.strip().splitlines()[-1]
    assert words in last
    assert "Traceback" not in text


def test_tab_offers_suites_options_and_arms(shell):
    offered = candidates("%gptoss evaluate ")
    assert {"gsm8k", "retrieval", "questions", "--arms"} <= set(offered)
    assert candidates("%gptoss evaluate gsm8k hum") == ["human-eval"]
    assert "base,effort:low" in candidates("%gptoss evaluate gsm8k --arms base,")
    assert "-K" in candidates("%gptoss evaluate retrieval docs -K")


def test_a_flip_shows_where_its_routing_parts(shell, items):
    """With the tiny model itself, whose answers are cut: the verdicts are set by hand."""
    magics = shell.magics_manager.registry["GptOssMagics"]
    magics.evaluated = None
    result, _ = run(shell, "%gptoss evaluate flip")
    assert "no evaluation yet" in str(result.error_in_exec)
    line = (
        f"%gptoss evaluate --data '{items}' -a base,effort:low,effort:medium -l 2 -m 6 -t 0 --new"
    )
    assert run(shell, line)[0].success
    made, found = magics.evaluated
    attempts = tuple(
        replace(one, verdict="right" if one.arm == "base" else "wrong") for one in found.attempts
    )
    magics.evaluated = made, replace(found, attempts=attempts)
    num_turns = len(current().conversations.turns)
    result, text = run(shell, "%gptoss evaluate flip 1")
    assert result.success
    assert "(base → effort:low)" in text
    assert "The routing parts at token" in text
    assert "base to experts" in text
    assert "Asked again" not in text
    _, same = run(shell, "%gptoss evaluate flip 3")
    assert "(base → effort:medium)" in same
    assert "Both are routed the same way through all layers for" in same
    assert len(current().conversations.turns) == num_turns
    result, _ = run(shell, "%gptoss evaluate flip 9")
    assert "the last evaluation has 4 of them" in str(result.error_in_exec)
