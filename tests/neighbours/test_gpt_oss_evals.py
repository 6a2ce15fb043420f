"""`GptOssSampler` in gpt_oss.evals (Python 3.12, where it is installed), beside our own runner."""

import pytest

import gptoss_magic
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current

evals = pytest.importorskip("gpt_oss.evals.types", reason="gpt-oss wants Python 3.12")


def says_b(prompt):
    return saying("B" if "Question 1" in prompt else "A", "I think so.")


def test_gpqa_scores_as_our_own_runner_does(resident, tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")
    gpqa = pytest.importorskip("gpt_oss.evals.gpqa_eval")
    from gptoss_magic.neighbours.gpt_oss_evals import GptOssSampler

    columns = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
    rows = [
        {"Question": f"Question {n}", **dict(zip(columns, "wxyz", strict=True))} for n in range(20)
    ]
    monkeypatch.setattr(pandas, "read_csv", lambda url: pandas.DataFrame(rows))
    made = gpqa.GPQAEval(n_repeats=1, n_threads=1)
    with scripted(current(), always=says_b):
        theirs = made(GptOssSampler(max_tokens=100, seed=1))
        ours = gptoss_magic.evaluate(
            data=[item_of(gpqa, row) for row in made.examples], journal=tmp_path
        )
    assert theirs.score == ours.scores[0].score
    assert 0 < theirs.score < 1


def item_of(gpqa, row):
    names = ("Correct Answer", *(f"Incorrect Answer {n}" for n in (1, 2, 3)))
    choices = [row[names[place]] for place in row["permutation"]]
    letter = "ABCD"[choices.index(row["Correct Answer"])]
    text = gpqa.format_multichoice_question(
        {**dict(zip("ABCD", choices, strict=True)), "Question": row["Question"]}
    )
    return {"question": text, "answer": letter}


def test_a_sampler_tells_usage_and_instructions(resident):
    from gptoss_magic.neighbours.gpt_oss_evals import GptOssSampler

    with scripted(current(), saying("Да.", "Думаю.")) as engine:
        sampler = GptOssSampler(developer_message="Кратко.", effort="low", date="2025-01-01")
        said = sampler([{"role": "user", "content": [{"type": "input_text", "text": "Привет"}]}])
    assert isinstance(said, evals.SamplerResponse)
    assert (said.response_text, said.response_metadata["thought"]) == ("Да.", "Думаю.")
    assert said.response_metadata["usage"]["completion_tokens"] > 0
    assert "Кратко." in engine.prompt_texts[0]
    assert "Reasoning: low" in engine.prompt_texts[0]
