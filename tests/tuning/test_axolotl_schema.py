"""What is written for Axolotl, read by Axolotl's own schema in an environment of its own."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from benchmarks.figure import Unavailable
from benchmarks.peers import python_with
from gptoss_magic.tuning.axolotl import write_axolotl
from gptoss_magic.tuning.methods import METHODS, settings_of
from gptoss_magic.tuning.recipe import recipe
from gptoss_magic.tuning.settings import TrainSettings

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "peers" / "axolotl_schema.py"
WRITTEN = [name for name, method in METHODS.items() if method.axolotl]
RUNS = {
    **{name: (settings_of(name), TrainSettings(learning_rate=1e-4)) for name in WRITTEN},
    "open rate": (settings_of("lora"), TrainSettings()),
    "nothing held out": (settings_of("lora"), TrainSettings(held_out=0.0, num_steps=7)),
    "odd alpha": (settings_of("experts", alpha=0.3, choice="all"), TrainSettings(floor=1.0)),
    "one row": (settings_of("lora", rank=1), TrainSettings(max_tokens=8, step_tokens=8)),
    "no warmup": (settings_of("lora"), TrainSettings(warmup=0.0, floor=0.0, epochs=0.5)),
}


@pytest.fixture(scope="module")
def schema():
    """A function: files to what Axolotl's schema understood of each."""
    try:
        python = python_with(ROOT / "requirements" / "axolotl.txt", "--no-deps")
    except Unavailable as error:
        pytest.skip(str(error))
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    code = f"import runpy, sys; sys.path += {sorted(ours)!r}; sys.argv.pop(0); "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"

    def read(*files):
        command = [str(part) for part in (python, "-c", code, SCRIPT, *files)]
        done = subprocess.run(
            command,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    return read


@pytest.mark.slow
def test_each_key_is_read_as_it_was_meant(schema, tmp_path):
    files = []
    for number, (method, train) in enumerate(RUNS.values()):
        text, _ = write_axolotl(method, train, "openai/gpt-oss-20b", "rows.jsonl")
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text, encoding="utf-8")
    for name, file, found in zip(RUNS, files, schema(*files), strict=True):
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert found.get("error") is None, f"{name}: {found['error']}"
        assert found["unknown"] == [], name
        assert found["keeps_rows_apart"], name
        data = found["read"].pop("datasets")[0]
        assert {key: data[key] for key in given["datasets"][0]} == given.pop("datasets")[0], name
        assert found["read"] == given, name


@pytest.mark.slow
def test_a_recipes_files_are_read_too(schema, tmp_path):
    recipe(80, like="20b", rows=40, length=4096).write(tmp_path / "recipe")
    files = sorted((tmp_path / "recipe").rglob("axolotl.yaml"))
    assert len(files) > 5
    for file, found in zip(files, schema(*files), strict=True):
        assert found.get("error") is None, f"{file}: {found['error']}"
        assert found["unknown"] == [], file
