"""One process of an ingest by several: `python -m gptoss_magic.retrieval.worker`, see `workers`.

Lines of JSON go in and out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gptoss_magic.children import leave
from gptoss_magic.errors import error_line
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.ingest import Ingest
from gptoss_magic.retrieval.walk import Found


def main() -> int:
    """One of the processes: what to do on the first line; it ends when the input does.

    It says {"done": bytes, "note": a file's name}, then {"report": …} or {"error": a line}.
    """
    asked = json.loads(sys.stdin.readline())
    files = [Found(Path(os.fsdecode(bytes.fromhex(p))), o, n) for p, o, n in asked["files"]]
    threading.Thread(target=_watch, daemon=True).start()
    try:
        index = Index.open(asked["index"])
        ingest = Ingest(index.chunks, index.embedder, asked["max_bytes"])
        try:
            ingest.files(files, lambda done, _total, note: _say(done=done, note=note))
        except KeyboardInterrupt:
            ingest.report.finish = "interrupt"
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it comes again at the end of the input
        _say(report=asdict(ingest.report))
    except Exception as error:  # noqa: BLE001 (whatever it is, who asked says it)
        _say(error=error_line(error))
    return 0


def _watch() -> None:
    """Interrupt this process when nobody waits for it any more."""
    while os.read(0, 1 << 12):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _say(**words: Any) -> None:
    line = json.dumps(words, default=str).encode() + b"\n"
    while line:  # of a short one an interrupt leaves nothing or all
        line = line[os.write(1, line) :]


if __name__ == "__main__":
    leave(main())
