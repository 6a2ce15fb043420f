"""Codex CLI edits a file of a scratch folder through the endpoint, with a scripted model."""

import json
import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from filelock import FileLock
from platformdirs import user_cache_dir

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.neighbours.codex import write_config
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from tests.neighbours.docs import example

PACKAGE = "@openai/codex@0.171.0"
PATCH = """*** Begin Patch
*** Update File: hello.txt
@@
-Привет, мир
+Привет, Кодекс
*** End Patch
"""


@pytest.fixture(scope="module")
def codex():
    """The command, installed the first time into the user's cache."""
    if shutil.which("npm") is None:
        pytest.skip("npm is missing: Codex CLI comes from its registry")
    folder = Path(user_cache_dir("gptoss_magic")) / PACKAGE.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "node_modules" / ".bin" / "codex"
    with FileLock(folder / "lock"):
        if not command.exists():
            npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, PACKAGE]
            made = subprocess.run(npm, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"npm install of Codex CLI failed: {made.stderr.strip()[-200:]}")
    return command


@pytest.mark.slow
def test_codex_edits_a_file_and_goes_on_in_exact_tokens(codex, resident, tmp_path):
    home, work = tmp_path / "codex", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (work / "hello.txt").write_text("Привет, мир\n")
    edit = calling("apply_patch", json.dumps({"input": PATCH}), "Меняю файл.")
    session = current()
    with scripted(session, edit, saying("Готово.", "Всё.")) as engine:
        engine.context = 100_000  # Codex's tools alone are longer than the tiny model's
        service = gptoss_magic.serve(token="a-token-of-tests")
        try:
            said = asked(codex, service, home, work)
        finally:
            service.stop()
    assert (work / "hello.txt").read_text() == "Привет, Кодекс\n", said
    texts = [event["item"].get("text") for event in said if event["type"] == "item.completed"]
    assert "Готово." in texts
    (first, _) = (turn for turn in map(turn_of, service.answers.ledger) if turn is not None)
    read = [*engine.prompts[0], *first.answer_ids]
    assert engine.prompts[1][: len(read)] == read


def turn_of(served):
    return served.turn


def asked(codex, service, home, work):
    """The events of one `codex exec`, with the configuration that the docs have."""
    source = example("Codex CLI").replace("http://127.0.0.1:PORT/v1", service.url)
    exec(compile(source.replace("codex-home", str(home)), "Codex CLI", "exec"), {})
    env = {**os.environ, "CODEX_HOME": str(home), "OPENAI_API_KEY": service.token}
    made = subprocess.run(
        [codex, "exec", "--json", "--skip-git-repo-check", "Greet Codex in hello.txt"],
        cwd=work,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    return [json.loads(line) for line in made.stdout.splitlines() if line.startswith("{")]


def test_a_config_of_the_user_s_stays_as_it_is(tmp_path):
    own = tmp_path / "config.toml"
    own.write_text('model = "mine"\n')
    with pytest.raises(InputError, match="a config of yours is there"):
        write_config(tmp_path, "http://127.0.0.1:1/v1", context=4096)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
    assert own.read_text() == 'model = "mine"\n'


def test_our_config_is_written_anew_and_reads_as_toml(tmp_path):
    for url in ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"):
        line = write_config(tmp_path / 'дом "а"', url, model="base+стиль@poet", context=9)
    made = tomllib.loads((tmp_path / 'дом "а"' / "config.toml").read_text(encoding="utf-8"))
    assert made["model_providers"]["gptoss_magic"]["base_url"] == url
    assert made["model"] == "base+стиль@poet"
    catalog = json.loads(Path(made["model_catalog_json"]).read_text(encoding="utf-8"))
    (entry,) = catalog["models"]
    assert (entry["slug"], entry["context_window"]) == ("base+стиль@poet", 9)
    assert shlex.split(line)[0] == "CODEX_HOME=" + str((tmp_path / 'дом "а"').resolve())
