"""Run by itself, as a script: runs one piece of code after the other, and keeps their names.

`python -I python_worker.py SETTINGS FD`: it reads a line of JSON from its input for each piece,
`{"code": …}`, and writes one to the descriptor FD when it is ready, and when a piece is done: how
it ended, and what it had to show (figures of matplotlib as PNG, the rows of a frame that is the
last value). What it prints goes to its output, which is a file. Limits and the filter are those of
`confined.py`, beside this file; it imports nothing of this package.
"""

import ast
import base64
import io
import json
import linecache
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

UNCONFINED = 78
MOST_FIGURES, MOST_ROWS, MOST_COLUMNS, CELL_CHARS = 4, 20, 12, 80


def run(number: int, code: str, names: dict[str, Any]) -> dict[str, Any]:
    """One piece of code; the value of its last expression is shown, as a cell's is."""
    file = f"<call {number}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    frames: list[Any] = []
    try:
        tree = ast.parse(code, file)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, file, "exec"), names)  # noqa: S102 (what this process is for)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), file, "eval"), names)  # noqa: S307
            names["_"] = value
            frames = _shown_value(value)
        ended = "done"
    except KeyboardInterrupt:
        sys.stdout.write("KeyboardInterrupt\n")
        ended = "interrupt"
    except SystemExit as error:
        sys.stdout.write(f"SystemExit: {error}\n")
        ended = "error"
    except BaseException as error:  # noqa: BLE001 (whatever the code raises is its own)
        own = traceback.TracebackException.from_exception(error)
        own.stack = traceback.StackSummary.from_list(
            [frame for frame in own.stack if frame.filename.startswith("<call")]
        )
        sys.stdout.write("".join(own.format()))
        ended = "error"
    return {"ended": ended, "figures": _figures(), "frames": frames}


def _shown_value(value: Any) -> list[Any]:
    """Print the last value; the rows of a frame are told apart."""
    if value is not None:
        sys.stdout.write((value if isinstance(value, str) else repr(value)) + "\n")
    try:
        if type(value).__name__ != "DataFrame" or not hasattr(value, "itertuples"):
            return []
        head = value.iloc[:MOST_ROWS, :MOST_COLUMNS]
        rows = [[str(cell)[:CELL_CHARS] for cell in row] for row in head.itertuples(name=None)]
        columns = ["", *(str(name)[:CELL_CHARS] for name in head.columns)]
        return [{"columns": columns, "rows": rows, "size": [int(n) for n in value.shape]}]
    except Exception:  # noqa: BLE001 (it was printed; no more than a picture is lost)
        return []


def _figures() -> list[str]:
    """Open figures as PNG, base64; they are closed."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    pictures = []
    try:
        for number in pyplot.get_fignums()[:MOST_FIGURES]:
            written = io.BytesIO()
            pyplot.figure(number).savefig(written, format="png", dpi=100)
            pictures.append(base64.b64encode(written.getvalue()).decode("ascii"))
        pyplot.close("all")
    except Exception as error:  # noqa: BLE001 (a figure that cannot be drawn)
        sys.stdout.write(f"figure: {type(error).__name__}: {error}\n")
    return pictures


def main() -> None:
    """Give up rights, then run what comes."""
    settings, answers = json.loads(sys.argv[1]), os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")
    own = runpy.run_path(str(Path(__file__).with_name("confined.py")))
    is_confined = settings.pop("is_confined")
    os.environ["MPLBACKEND"] = "Agg"
    own["limit"](settings)
    try:
        own["confine"](is_confined)
    except (OSError, RuntimeError) as error:
        if is_confined:
            sys.stdout.write(str(error))
            sys.stdout.flush()
            os._exit(UNCONFINED)
    answers.write('{"ended": "ready"}\n')
    answers.flush()
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, line in enumerate(sys.stdin, 1):
        try:
            told = run(number, json.loads(line)["code"], names)
        except KeyboardInterrupt:  # between two pieces of its work
            told = {"ended": "interrupt", "figures": [], "frames": []}
        sys.stdout.flush()
        sys.stderr.flush()
        answers.write(json.dumps(told) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
