"""`python -m gptoss_magic serve`: the endpoint without a notebook."""

import json
import os
import signal
import subprocess
import urllib.request

from gptoss_magic.testing import tiny_checkpoint
from tests.warm import python

COMMAND = ["-m", "gptoss_magic", "serve"]


def test_it_serves_until_it_is_interrupted(tmp_path):
    folder = tiny_checkpoint(tmp_path / "tiny")
    environment = {**os.environ, "SERVE_TOKEN": "a-token-of-tests"}
    process = subprocess.Popen(
        [python(), *COMMAND, str(folder), "--token-env", "SERVE_TOKEN"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    lines = iter(process.stdout.readline, "")
    url = next(line for line in lines if line.startswith("OPENAI_BASE_URL="))
    request = urllib.request.Request(
        url.strip().partition("=")[2] + "/completions",
        json.dumps({"model": "tiny", "prompt": "abc", "max_tokens": 3}).encode(),
        {"Authorization": "Bearer a-token-of-tests"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert json.load(response)["usage"]["completion_tokens"] == 3
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "a-token-of-tests" not in url + said + errors
    assert "Traceback" not in errors


def test_what_cannot_be_is_one_line(tmp_path):
    for words in ([str(tmp_path / "none")], ["built-in", "--token-env", "NO_SUCH_NAME"]):
        made = subprocess.run(
            [python(), *COMMAND, *words], capture_output=True, text=True, check=False
        )
        assert made.returncode == 1
        assert len(made.stderr.strip().splitlines()) == 1
