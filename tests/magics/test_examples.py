"""`%gptoss examples`: what the package brings, in the user's folder, and nothing of theirs lost."""

import json
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from jupyter_client.manager import start_new_kernel

from gptoss_magic.magics.examples import FOLDER, shipped
from tests.shell_cells import new_shell, run

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
CHANGED = '{"cells": [], "mine": true}'


@pytest.fixture
def shell(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return new_shell()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_notebooks_are_copied_and_named(shell, tmp_path):
    result, shown = run(shell, "%gptoss examples")
    result.raise_error()
    assert names(tmp_path / FOLDER) == NOTEBOOKS
    for path in shipped():
        assert (tmp_path / FOLDER / path.name).read_bytes() == path.read_bytes()
        assert path.name in shown
    assert "Quick start" in shown
    assert f"{len(NOTEBOOKS)} notebooks copied into {FOLDER}" in shown
    assert f"0 notebooks copied into {FOLDER}" in run(shell, "%gptoss examples")[1]


def test_a_changed_one_stays_where_nobody_can_be_asked(shell, tmp_path):
    folder = tmp_path / "my folder"
    folder.mkdir()
    (folder / "map.ipynb").write_text(CHANGED)
    (folder / "mine.ipynb").write_text(CHANGED)
    result, shown = run(shell, "%gptoss examples 'my folder'")
    result.raise_error()
    assert (folder / "map.ipynb").read_text() == CHANGED
    assert f"{len(NOTEBOOKS) - 1} notebooks copied into my folder" in shown
    assert "as you have them: map.ipynb; --force writes over them" in shown
    assert run(shell, "%gptoss examples 'my folder' --force")[0].success
    assert json.loads((folder / "map.ipynb").read_text())["cells"]
    assert (folder / "mine.ipynb").read_text() == CHANGED


def test_a_file_where_the_folder_should_be_is_one_line(shell, tmp_path):
    (tmp_path / FOLDER).write_text("mine")
    result, shown = run(shell, "%gptoss examples")
    assert not result.success
    assert len(shown.strip().splitlines()) == 1
    assert (tmp_path / FOLDER).read_text() == "mine"


def test_links_lead_to_the_copies(shell, tmp_path):
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        shell.run_cell("%gptoss examples 'a folder'").raise_error()
    html = captured.outputs[0].data["text/html"]
    assert '<a href="a%20folder/quickstart.ipynb">quickstart.ipynb</a>' in html


def test_a_wheel_brings_them():
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"gptoss_magic/notebooks/{name}" for name in NOTEBOOKS} <= files
    assert "gptoss_magic/magics/topics/tuning.txt" in files


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    client.execute_interactive("%load_ext gptoss_magic", timeout=60, output_hook=lambda m: None)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(("reply", "is_ours"), [("y", True), ("n", False), ("", False)])
def test_a_kernel_asks_before_a_changed_one_is_written_over(kernel, tmp_path, reply, is_ours):
    (tmp_path / "depth.ipynb").write_text(CHANGED)
    messages = []
    kernel.execute_interactive(
        f"%gptoss examples '{tmp_path}'",
        timeout=60,
        allow_stdin=True,
        output_hook=messages.append,
        stdin_hook=lambda message: kernel.input(reply),
    )
    shown = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    assert f"Write over depth.ipynb in {tmp_path}?" in shown
    assert ((tmp_path / "depth.ipynb").read_text() != CHANGED) == is_ours
    assert names(tmp_path) == NOTEBOOKS
