"""Which outputs of a notebook are recorded answers."""

from gptoss_magic.sharing.records import records_of


def notebook(*records):
    outputs = [
        {"output_type": "display_data", "data": {}, "metadata": {"gptoss_magic": record}}
        for record in records
    ]
    cell = {"cell_type": "code", "source": "%%gptoss\nHi", "execution_count": 1, "outputs": outputs}
    return {"cells": [cell]}


def test_a_tuning_run_is_no_answer_and_an_old_answer_is_one():
    run = {"run": {}, "train": {}, "method": {}, "model": {}, "data": {}, "versions": {}}
    old = {"model": "built-in", "sampling": {}, "prompt_tokens": [1, 2]}
    damaged = {"model": "built-in", "generations": "none", "run": {}, "train": {}}
    faults = [answer.fault for answer in records_of(notebook(run, old, damaged))]
    assert faults == [
        "it was recorded without the answer's tokens, by an older version: ask the prompt again",
        "the record is damaged: it has no list of generations; get the file again",
    ]
