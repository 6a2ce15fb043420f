"""One Chromium and one Jupyter server for all browser tests of a process, and pages in them.

The server has JupyterLab and Notebook 7, and a folder for each test. All of it starts at its first
use, and ends before the next test without a browser: while a Playwright is open, `asyncio.run`
fails in its thread.
"""

import json
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tools import screenshots as tool

EXTENSION_FILES = f"**/{tool.EXTENSION_NAME}/**"
SETTINGS = {
    "@jupyterlab/codemirror-extension:plugin": {"defaultConfig": {"autoClosingBrackets": True}}
}
UNTRUSTED = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].every(
  cell => !cell.trusted)"""


@dataclass
class Browser:
    """What is open; `kept` are things of a room that live as long, such as a loaded notebook."""

    stack: ExitStack = field(default_factory=ExitStack)
    chromium: Any = None
    url: str = ""
    root: Path = Path()
    kept: dict[str, Any] = field(default_factory=dict)

    def start(self) -> Any:
        """Chromium, as Playwright has it."""
        if self.chromium is None:
            self.chromium = self.stack.enter_context(tool.browser())
        return self.chromium

    def serve(self) -> str:
        """The server's address. Its kernels have one thread each, and data of their own."""
        if not self.url:
            self.start()
            self.root = Path(
                self.stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
            )
            (self.root / "work").mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("OMP_NUM_THREADS", "1")  # threads that wait for a busy core are slow
                for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
                    patch.setenv(name, str(self.root / name))
                server = tool.lab(self.root / "work", extension=tool.EXTENSION.is_dir(), **SETTINGS)
                self.url = self.stack.enter_context(server)
        return self.url

    def folder(self) -> Path:
        """A new one on the server."""
        self.serve()
        folder = self.root / "work" / f"test{len([*(self.root / 'work').iterdir()])}"
        folder.mkdir()
        return folder

    def close(self) -> None:
        self.stack.close()
        self.chromium, self.url = None, ""
        self.kept.clear()


@dataclass
class Plain:
    """A page of JupyterLab without our extension, and notebooks in a folder of their own."""

    page: Any
    url: str
    folder: Path

    def open(self, name, *, kernel=True):
        tool.open_notebook(self.page, self.url, f"{self.folder.name}/{name}", kernel=kernel)

    def open_foreign(self, name):
        """A copy with other bytes than those that were signed: without trust, and no kernel."""
        foreign = json.loads((self.folder / name).read_text())
        foreign["metadata"]["from"] = "elsewhere"
        (self.folder / f"foreign-{name}").write_text(json.dumps(foreign))
        self.open(f"foreign-{name}", kernel=False)
        self.page.wait_for_function(UNTRUSTED, timeout=10_000)  # a cell is there before its trust

    def end_kernels(self):
        """Of this folder's notebooks."""
        for session in json.load(_asked(f"{self.url}/api/sessions")):
            if session["path"].startswith(f"{self.folder.name}/"):
                _asked(f"{self.url}/api/sessions/{session['id']}", "DELETE").close()


def _asked(address, method="GET"):
    headers = {"Authorization": f"token {tool.TOKEN}"}
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers, method=method))


@contextmanager
def plain(browser):
    """A page of JupyterLab as it is without our extension, in a context of its own."""
    context = browser.start().new_context(viewport={"width": 1200, "height": 900})
    context.route(EXTENSION_FILES, lambda route: route.abort())
    opened = Plain(context.new_page(), browser.serve(), browser.folder())
    try:
        yield opened
    finally:
        context.close()
        opened.end_kernels()
