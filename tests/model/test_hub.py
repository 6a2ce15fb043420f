"""A hub name, against a small server on the loopback that speaks the hub's protocol."""

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import closing, contextmanager

import pytest

from gptoss_magic.testing import tiny_checkpoint

COMMIT = "c" * 40
RESOLVED = re.compile(r"/owner/(\w+)/resolve/[^?]*?([^/?]+)(?:\?|$)")
LISTED = re.compile(r"/api/models/owner/(\w+)(/tree/)?")


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves repositories, owner/NAME, a folder each, and notes what was asked for."""

    folder, asked = None, []

    def do_HEAD(self):
        self.answer(send=False)

    def do_GET(self):
        self.answer(send=True)

    def answer(self, *, send):
        listed, resolved = LISTED.match(self.path), RESOLVED.match(self.path)
        if listed and (self.folder / listed[1]).is_dir():
            files = sorted((self.folder / listed[1]).iterdir())
            self.reply(200, self.listing(listed, files), "application/json", send=send)
        elif resolved and self.folder.joinpath(*resolved.groups()).is_file():
            self.file(*resolved.groups(), send=send)
        else:
            self.reply(404, b"", "text/plain", send=send)

    def listing(self, listed, files):
        if listed[2]:
            kind = {"type": "file", "oid": "0" * 40}
            return json.dumps(
                [{**kind, "path": f.name, "size": f.stat().st_size} for f in files]
            ).encode()
        names = [{"rfilename": file.name} for file in files]
        about = {"id": f"owner/{listed[1]}", "sha": COMMIT, "siblings": names}
        return json.dumps(about).encode()

    def file(self, repository, name, *, send):
        body, wanted = (self.folder / repository / name).read_bytes(), self.headers.get("Range")
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


# Hugging Face's package reads where the hub is, and its cache, once: one process loads all.
LOADS = """
import json, sys
import gptoss_magic as g
from gptoss_magic.errors import GptOssError
from gptoss_magic.session import current

for line in sys.stdin:
    name, options = json.loads(line)
    try:
        show = lambda plan: print('plan', plan.weights)
        told = lambda *step: print(*step) if step[2] == 'downloading' else None
        print(g.load(f'owner/{name}', on_plan=show, progress=told, **options))
        print('revision', current().resident.identity['revision'])
        g.unload()
    except GptOssError as error:
        print(type(error).__name__, error)
    print('over', flush=True)
"""


class Loads:
    """A process that loads from the hub at `port`, one model after the other."""

    def __init__(self, port, folder):
        self.port, self.folder = port, folder
        around = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HUB_CACHE": f"{folder}/cache"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOADS],
            env={**os.environ, **around},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def hub(self):
        """While the hub answers."""
        Hub.folder, Hub.asked = self.folder, []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Hub)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def load(self, name, **options):
        """(The last line, all lines) of a load of owner/`name`."""
        self.process.stdin.write(json.dumps([name, options]) + "\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline().rstrip("\n")) != "over":
            assert self.process.poll() is None or line, lines
            lines.append(line)
        return lines[-1], lines

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


@pytest.fixture(scope="module")
def loads(tmp_path_factory):
    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as probe:
        port = probe.server_port
    with closing(Loads(port, tmp_path_factory.mktemp("hub"))) as made:
        yield made


def ranges(name="model.safetensors"):
    """What was asked of a file's bytes; None: all."""
    return [wanted for asked, wanted in Hub.asked if asked == name]


def test_a_hub_model_is_planned_downloaded_and_then_found_offline(loads):
    tiny_checkpoint(loads.folder / "tiny")
    with loads.hub():
        last, lines = loads.load("tiny")
    assert last == f"revision {COMMIT}", lines
    assert "1050208 1050208 downloading" in lines
    assert ranges()[0] is not None
    assert None in ranges()
    assert "config.json" in [name for name, _ in Hub.asked]
    with closing(Loads(loads.port, loads.folder)) as later:
        last, lines = later.load("tiny", offline=True)
    assert last == f"revision {COMMIT}", lines


def test_what_cannot_fit_is_never_downloaded(loads):
    config = tiny_checkpoint(loads.folder / "huge") / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 10**13})
    )
    with loads.hub():
        last, _ = loads.load("huge", context=10**12)
    assert last.startswith("DoesNotFit")
    assert ranges()
    assert None not in ranges()


def test_what_the_headers_refuse_is_never_downloaded(loads):
    config = tiny_checkpoint(loads.folder / "odd") / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vocab_size": 200}))
    with loads.hub():
        last, _ = loads.load("odd")
    assert last.startswith("CheckpointError owner/odd: ")
    assert "[264, 64] in the file and [200, 64] by config.json" in last
    assert all(ranges())


def test_a_hub_that_does_not_answer_is_one_line(loads):
    last, lines = loads.load("silent")
    assert last.startswith("CheckpointError owner/silent: the hub did not give it")
    assert len(lines) == 1
