"""What cannot be, or would mean nothing: one line, before a model is loaded or anything changes."""

from pathlib import Path

import pandas as pd
import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from tests.shell_cells import clean_session, new_shell, run

CELLS = [
    ('%%gptoss -o ""\nx', "-o: nothing is given"),
    ("%%gptoss --output=\nx", "--output: nothing is given"),
    ("%%gptoss -o class\nx", "not a variable name"),
    ("%%gptoss -o df.answer\nx", "not a variable name"),
    ('%%gptoss -d ""\nx', "nothing is given"),
    ("%%gptoss -d 2026-13-01\nx", "date '2026-13-01'"),
    ("%%gptoss -d 01.02.2026\nx", "date '01.02.2026'"),
    ("%%gptoss -t nan\nx", "temperature nan"),
    ("%%gptoss -m 0\nx", "max tokens 0"),
    ("%%gptoss -s 1e3\nx", "invalid int value"),
    ('%%gptoss -c " "\nx', "-c: nothing is given"),
    ('%%gptoss -G ""\nx', "-G: nothing is given"),
    ('%%gptoss -P ""\nx', "-P: nothing is given"),
    ('%%gptoss -S ""\nx', "-S: nothing is given"),
    ('%%gptoss -M ""\nx', "-M: nothing is given"),
    ("%%gptoss -G none -K 3\nx", "add --rag"),
    ("%%gptoss -G x -K 0\nx", "--passages 0"),
    ("%%gptoss -G x -A -1\nx", "at -1"),
    ("%%gptoss -T python --no-run -N 3\nx", "leave --calls out"),
    ("%%gptoss -T python -N 0\nx", "--calls 0"),
    ("%%gptoss --mask-experts x:y\nx", "LAYER:EXPERT"),
    ("%%gptoss --force-experts 3\nx", "LAYER:EXPERT"),
    ("%%gptoss -t 0 -p 0.5\nx", "nothing is drawn"),
    ("%%gptoss -t 0 -k 0\nx", "nothing is drawn"),
    ("%%gptoss -t 1 -l 4\nx", "drafts are for greedy"),
    ("%%gptoss -M df -q\n{{ q }}", "leave --quiet out"),
    ("%%gptoss -M df --branch 0\n{{ q }}", "leave --map out"),
    ("%%gptoss -M df -B 0\n{{ q }}", "batch 0"),
    ("%%gptoss -I col --batch 3 --journal j -K 3 -N 3 --of x\nx", "--of means something beside"),
    ("%%gptoss --branch -1\nx", "--branch -1"),
    ("%gptoss branch -o class", "not a variable name"),
    ("%gptoss branch -3", "at -3"),
    ("%gptoss branch", "no answer yet"),
    ("%gptoss branch -t 0 -p 0.4", "nothing is drawn"),
    ("%gptoss tokens", "no answer yet"),
    ("%gptoss tokens nothing", "no such name"),
    ("%gptoss routing", "are required"),
    ('%gptoss routing "two words" -b gate', "--by means"),
    ('%gptoss routing "two words" -P -m 3', "leave --max-tokens out"),
    ('%gptoss routing "two words" -d tomorrow', "date 'tomorrow'"),
    ('%gptoss routing "two words" -a nothing', "nothing"),
    ("%gptoss routing nothing", "no such name, and no such file"),
    ("%gptoss routing compare one", "give two of them"),
    ('%gptoss routing ""', "'': nothing is given"),
    ("%gptoss runs attach", "give the name of one run"),
    ("%gptoss runs attach nothing", "no run lies there"),
    ("%gptoss runs show -q", "--output and --quiet mean something beside attach only"),
    ("%gptoss runs stop nothing", "no run lies there"),
    ("%%gptoss_tune --launch 0\nx", "--launch 0"),
    ("%%gptoss_tune --launch 2 --strategy all\nx", "invalid choice"),
    ("%%gptoss_tune --nodes 2\nx", "--nodes means something beside --write-slurm"),
    ("%%gptoss_tune --write-ray r.py\nx", "--write-ray means something beside --launch"),
    ("%gptoss_tune --like 120b --cards 80", "such as 8x80"),
    ("%gptoss lora sing", "no such command"),
    ("%gptoss lora attach --bad", "its options:"),
    ("%gptoss lora attach x -s inf", "scale inf"),
    ("%gptoss lora scale x nan", "scale nan"),
    ("%gptoss lora compare x -t nan", "temperature nan"),
    ("%gptoss lora compare x -m 0", "max tokens 0"),
    ('%gptoss compare ""', "nothing is given"),
    ("%gptoss compare x -t nan", "numbers from 0"),
    ("%gptoss compare x -m -1", "max tokens -1"),
    ("%gptoss compare x -P nobody", "no such persona"),
    ("%gptoss compare x -a nothing", "nothing"),
    ("%gptoss panel -s a -d a", "give one of --delete and --save"),
    ("%gptoss panel --list --widget", "give one of --list and --widget"),
    ('%gptoss panel -s ""', "nothing is given"),
    ("%gptoss search x y -K -1", "--passages -1"),
    ('%gptoss search x ""', "nothing is given"),
    ("%gptoss index list x", "leave 'x' out"),
    ("%gptoss index list -n x", "--name means nothing beside it"),
    ("%gptoss index drop x -L 3", "--max-mb means nothing beside it"),
    ('%gptoss index ""', "nothing is given"),
    ('%gptoss index rows.jsonl -E ""', "nothing is given"),
    ("%gptoss index rows.jsonl -L nan", "--max-mb nan"),
    ("%gptoss evaluate retrieval x y -K 0", "--passages 0"),
    ("%gptoss evaluate questions x -o rows.jsonl -n 0", "--num 0"),
    ("%gptoss evaluate questions x -o y -s -1", "seed -1"),
    ("%gptoss persona score x -m 0", "max tokens 0"),
    ("%gptoss persona distil x -o rows.jsonl", "give a new .jsonl file"),
    ('%%gptoss_persona ""\ntext', "nothing is given"),
    ('%gptoss memory note ""', "nothing is given"),
    ("%gptoss memory off -s", "leave '-s' out"),
    ("%gptoss reflect --accept --keep", "give --accept or --keep"),
    ("%gptoss reflect", "no answer yet"),
    ("%gptoss turns keep 5 -c x", "beside list only"),
    ("%gptoss runs stop x y", "leave 'y' out"),
    ("%gptoss tools list x", "leave 'x' out"),
    ("%gptoss tools forget x", "leave 'x' out"),
    ('%gptoss tools mcp ""', "nothing is given"),
    ('%gptoss tools mcp --as "" x', "--as: nothing is given"),
    ("%gptoss status x", "leave 'x' out"),
    ("%gptoss unload x", "leave 'x' out"),
    ("%gptoss traceback x", "leave 'x' out"),
    ("%gptoss load --bad", "its options:"),
    ("%gptoss load -C -5", "--context -5"),
    ('%gptoss load ""', "nothing is given"),
    ("%%gptoss_tune -N ../x\nq -> a", "name '../x'"),
    ("%%gptoss_tune -o class\nq -> a", "not a variable name"),
    ("%%gptoss_tune -l nan\nq -> a", "learning rate nan"),
    ("%%gptoss_tune -l inf\nq -> a", "learning rate inf"),
    ("%%gptoss_tune -e nan\nq -> a", "epochs nan"),
    ("%%gptoss_tune -n 0\nq -> a", "steps 0"),
    ("%%gptoss_tune -n 3 -e 2\nq -> a", "--epochs and --steps"),
    ("%%gptoss_tune -s -1\nq -> a", "seed -1"),
    ("%%gptoss_tune -p 0.3\nq -> a", "beside --after only"),
    ("%%gptoss_tune -w 0\nq -> a", "--own 0"),
    ("%%gptoss_tune -d edits\nq -> a", "beside --from-conversation only"),
    ("%%gptoss_tune -S -1\nq -> a", "--show -1"),
    ("%%gptoss_tune -k 24\nq -> a", "beside --like only"),
    ("%%gptoss_tune -L 120b\nq -> a", "--like and rows"),
    ("%gptoss_tune -L 120b -k nan", "--card nan"),
    ("%gptoss_tune -L 20b -M lora", "--method means nothing beside it"),
    ("%gptoss_tune rows.jsonl -f default", "--from-conversation and rows"),
    ("%gptoss_tune rows.jsonl -b", "--go or --resume only"),
    ("%gptoss_tune -c nothing", "no run lies there"),
    ("%gptoss_tune -c nothing -e 3", "--epochs means nothing beside it"),
    ("%%gptoss_depth\nchecker: answer", "no rows: write rows:"),
    ("%%gptoss_depth\nrows: nothing", "neither a variable"),
    ("%%gptoss_depth -r 20\nrows: a → b", "rung 20: the ladder has 0 to 13"),
    ("%%gptoss_depth\nrows: a → b", "1 row with a question of their own"),
    ("%%gptoss_depth --resume nothing\n ", "no study lies there"),
    ("%%gptoss_data -n 0\ncats", "--rows 0"),
    ("%%gptoss_data -s -1\ncats", "seed -1"),
    ("%%gptoss_data -t nan\ncats", "temperature nan"),
    ("%%gptoss_data -i nothing\ncats", "neither a variable"),
]


@pytest.fixture(scope="module")
def bare():
    """A shell whose kernel has no model."""
    shell = new_shell()
    yield shell
    type(shell).clear_instance()


@pytest.fixture
def shell(bare, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    with clean_session(monkeypatch, tmp_path / "data"):
        current().unload()
        bare.user_ns["df"] = pd.DataFrame({"q": ["a"]})
        yield bare


@pytest.mark.parametrize(("cell", "says"), CELLS)
def test_it_is_refused_in_one_line_and_nothing_changes(shell, cell, says):
    files, names = sorted(Path().rglob("*")), set(shell.user_ns)
    result, shown = run(shell, cell)
    assert isinstance(result.error_in_exec, InputError), shown
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1
    assert current().loaded is None
    assert sorted(Path().rglob("*")) == files
    assert {name for name in set(shell.user_ns) - names if name[0] != "_"} == set()


MISSING = {
    "none": ("None", "None"),
    "nan": ("float('nan')", "nan"),
    "na": ("pd.NA", "<NA>"),
    "nat": ("pd.NaT", "NaT"),
    "single": ("np.float32('nan')", "nan"),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_value_is_not_asked_as_a_word(shell, name):
    value, word = MISSING[name]
    run(shell, f"import numpy as np, pandas as pd\nvalue = {value}")
    result, shown = run(shell, "%%gptoss\nSay {{ value }}")
    assert isinstance(result.error_in_exec, InputError)
    assert f"{{{{ value }}}}: it is {word}, no text" in shown
    assert current().loaded is None
