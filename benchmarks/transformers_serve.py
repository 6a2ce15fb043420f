"""`transformers serve` on the built-in model's weights, as a process on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figure import Unavailable
from benchmarks.llama import ran
from benchmarks.serving import posted

FASTAPI = "fastapi==0.163.2"  # all that `transformers[serving]` needs beside our pins
START_S = 120


class TransformersServe:
    """Answers text completions; `what` says how it was run. Raises Unavailable."""

    what = "transformers serve, the same bf16 weights, harmony's prompt as text"

    def __init__(self) -> None:
        from gptoss_magic.model.stand_in import checkpoint

        self.model = str(checkpoint())
        self.port = _free_port()
        self._log = TemporaryDirectory()
        path = os.pathsep.join(filter(None, [str(_fastapi()), os.environ.get("PYTHONPATH")]))
        command = [str(Path(sys.executable).with_name("transformers")), "serve", self.model]
        with Path(self._log.name, "serve.log").open("w") as log:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
                stdout=log,
                stderr=log,
            )
        self._wait()

    def tokens(self, question: str, num_new: int) -> int:
        """How many tokens its answer has."""
        body = {"model": self.model, "prompt": _prompt(question), "max_tokens": num_new}
        url = f"http://127.0.0.1:{self.port}/v1"
        made: dict[str, Any] = posted(url, "none", "/completions", {**body, "temperature": 0})
        return int(made["usage"]["completion_tokens"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.cleanup()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.5)
            else:
                return
        said = Path(self._log.name, "serve.log").read_text().strip().splitlines() or ["nothing"]
        self.close()
        raise Unavailable(f"transformers serve did not start: {said[-1][:200]}")


def _prompt(question: str) -> str:
    """The very prompt that ours reads, as text."""
    from gptoss_magic.session import current
    from gptoss_magic.turns.prompt import ids_of, messages_of
    from gptoss_magic.turns.settle import settle

    messages = messages_of(settle(question))
    return current().codec.decode(ids_of(settle(messages=messages)))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _fastapi() -> Path:
    """A folder with FastAPI alone; made the first time."""
    from platformdirs import user_cache_dir

    folder = Path(user_cache_dir("gptoss_magic")) / FASTAPI
    if not (folder / "fastapi").exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = folder.with_suffix(".log")
        ran("pip install of FastAPI", [*pip, "--target", str(folder), FASTAPI], log)
    return folder
