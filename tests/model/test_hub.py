"""A hub name, against a small server on the loopback that speaks the hub's protocol."""

import hashlib
import http.server
import json
import os
import subprocess
import threading

import pytest

from gptoss_magic.testing import tiny_checkpoint
from tests.warm import python

COMMIT = "c" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one repository, owner/tiny, and notes what was asked for."""

    folder, asked = None, []

    def do_HEAD(self):
        self.answer(send=False)

    def do_GET(self):
        self.answer(send=True)

    def answer(self, *, send):
        path = self.path.split("?")[0]
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/api/models/owner/tiny/tree/"):
            files = sorted(self.folder.iterdir())
            kind = {"type": "file", "oid": "0" * 40}
            tree = [{**kind, "path": f.name, "size": f.stat().st_size} for f in files]
            self.reply(200, json.dumps(tree).encode(), "application/json", send=send)
        elif path.startswith("/api/models/owner/tiny"):
            files = [{"rfilename": file.name} for file in sorted(self.folder.iterdir())]
            body = json.dumps({"id": "owner/tiny", "sha": COMMIT, "siblings": files}).encode()
            self.reply(200, body, "application/json", send=send)
        elif path.startswith("/owner/tiny/resolve/") and (self.folder / name).is_file():
            self.file(name, send=send)
        else:
            self.reply(404, b"", "text/plain", send=send)

    def file(self, name, *, send):
        body, wanted = (self.folder / name).read_bytes(), self.headers.get("Range")
        if wanted and send:
            first, last = wanted.removeprefix("bytes=").split("-")
            body = body[int(first) : int(last) + 1 if last else None]
        if send:
            self.asked.append((name, wanted))
        self.reply(206 if wanted else 200, body, "application/octet-stream", send=send)

    def reply(self, status, body, kind, *, send):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.end_headers()
        if send:
            self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def hub(tmp_path):
    Hub.folder, Hub.asked = tiny_checkpoint(tmp_path / "repository"), []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def load(endpoint, cache, **options):
    """Run a load in a fresh process; (its last line, whole output)."""
    code = (
        "import gptoss_magic as g\n"
        "from gptoss_magic.session import current\n"
        "try:\n"
        "    show = lambda plan: print('plan', plan.weights)\n"
        "    told = lambda *step: print(*step) if step[2] == 'downloading' else None\n"
        f"    print(g.load('owner/tiny', on_plan=show, progress=told, **{options!r}))\n"
        "    print('revision', current().resident.identity['revision'])\n"
        "except g.errors.GptOssError as error:\n"
        "    print(type(error).__name__, error)\n"
    ).replace("g.errors", "__import__('gptoss_magic.errors').errors")
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache)}
    done = subprocess.run(
        [python(), "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    assert lines, done.stderr
    return lines[-1], done.stdout


def test_a_hub_model_is_planned_downloaded_and_then_found_offline(hub, tmp_path):
    last, shown = load(hub, tmp_path / "cache")
    assert last == f"revision {COMMIT}", shown
    assert "1050208 1050208 downloading" in shown
    names = [name for name, _ in Hub.asked]
    ranged = [wanted for name, wanted in Hub.asked if name == "model.safetensors"]
    assert ranged[0] is not None
    assert None in ranged
    assert "config.json" in names
    last, shown = load("http://127.0.0.1:9", tmp_path / "cache", offline=True)
    assert last == f"revision {COMMIT}", shown


def test_what_cannot_fit_is_never_downloaded(hub, tmp_path):
    config = Hub.folder / "config.json"
    huge = json.loads(config.read_text()) | {"max_position_embeddings": 10**13}
    config.write_text(json.dumps(huge))
    last, _ = load(hub, tmp_path / "cache", context=10**12)
    assert last.startswith("DoesNotFit")
    ranges = [wanted for name, wanted in Hub.asked if name == "model.safetensors"]
    assert ranges
    assert None not in ranges


def test_what_the_headers_refuse_is_never_downloaded(hub, tmp_path):
    config = Hub.folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vocab_size": 200}))
    last, _ = load(hub, tmp_path / "cache")
    assert last.startswith("CheckpointError owner/tiny: ")
    assert "[264, 64] in the file and [200, 64] by config.json" in last
    assert all(wanted for name, wanted in Hub.asked if name == "model.safetensors")


def test_a_hub_that_does_not_answer_is_one_line(tmp_path):
    last, shown = load("http://127.0.0.1:9", tmp_path / "cache")
    assert last.startswith("CheckpointError owner/tiny: the hub did not give it")
    assert len(shown.strip().splitlines()) == 1
