"""Codex CLI edits a file of a scratch folder through the endpoint, with a scripted model."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from platformdirs import user_cache_dir

import gptoss_magic
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from tests.neighbours.docs import example

pytestmark = pytest.mark.slow
PACKAGE = "@openai/codex@0.171.0"
PATCH = """*** Begin Patch
*** Update File: hello.txt
@@
-Привет, мир
+Привет, Кодекс
*** End Patch
"""
# nobody is asked, it may write in its folder, and looks nothing up
SWITCHES = """approval_policy = "never"
sandbox_mode = "workspace-write"
check_for_update_on_startup = false
analytics.enabled = false
agents.enabled = false
features = { plugins = false, remote_plugin = false, apps = false, goals = false }
"""
CATALOG = {
    "slug": "base",
    "display_name": "base",
    "description": "The kernel's model",
    "default_reasoning_level": "low",
    "supported_reasoning_levels": [{"effort": "low", "description": "short"}],
    "shell_type": "unified_exec",
    "visibility": "list",
    "supported_in_api": True,
    "priority": 1,
    "base_instructions": "You edit files.",
    "apply_patch_tool_type": "freeform",
    "truncation_policy": {"mode": "tokens", "limit": 2000},
    "context_window": 100_000,
    "input_modalities": ["text"],
    "supports_reasoning_summaries": True,
    "support_verbosity": False,
    "supports_parallel_tool_calls": False,
    "experimental_supported_tools": [],
}


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
    catalog = home / "catalog.json"
    catalog.write_text(json.dumps({"models": [CATALOG]}))
    config = example("Codex CLI").replace("http://127.0.0.1:PORT/v1", service.url)
    (home / "config.toml").write_text(f'model_catalog_json = "{catalog}"\n{SWITCHES}{config}')
    env = {**os.environ, "CODEX_HOME": str(home), "GPTOSS_TOKEN": service.token}
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
