"""Run by itself, as a script: runs one piece of code after the other, and keeps their names.

`python -I python_worker.py SETTINGS FD`: a line of JSON on its input is a piece, `{"number": …,
"code": …}`. It writes one to the descriptor FD when it is ready, and when a piece is over: its
number, how it ended, and what it had to show (figures of matplotlib as PNG, the rows of a frame
that is the last value). What it prints goes to its output, which is a file. Limits and the filter
are those of `confined.py`, beside this file; it imports nothing of this package.
"""

import ast
import base64
import io
import json
import linecache
import os
import runpy
import signal
import sys
import traceback
import types
import warnings
from itertools import dropwhile
from pathlib import Path
from typing import IO, Any

UNCONFINED = 78
MOST_FIGURES, MOST_ROWS, MOST_COLUMNS, CELL_CHARS = 4, 20, 12, 80


class Printed:
    """What the code prints, and behind it what is said of it. `is_cut`: some of it had no room."""

    is_cut = False

    def say(self, text: str) -> None:
        """Write behind all that was printed so far."""
        for name, number in (("stdout", 1), ("stderr", 2)):
            try:
                getattr(sys, name).flush()
            except Exception:  # noqa: BLE001 (a full disk, a limit, or the code closed it)
                self.is_cut = True  # what it still holds can never be written
                again = os.fdopen(os.dup(number), "w", encoding="utf-8", errors="backslashreplace")
                setattr(sys, name, again)
        try:
            os.write(1, text.encode("utf-8", "backslashreplace"))
        except OSError:
            self.is_cut = True


PRINTED = Printed()


def run(number: int, code: str, names: dict[str, Any]) -> dict[str, Any]:
    """One piece of code; the value of its last expression is shown, as a cell's is."""
    frames: list[Any] = []
    ended, PRINTED.is_cut = "error", False
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        frames = _shown_value(_value(f"<call {number}>", code, names), names)
        ended = "done"
    except KeyboardInterrupt:
        PRINTED.say("KeyboardInterrupt\n")
        ended = "interrupt"
    except SystemExit as error:
        PRINTED.say(f"SystemExit: {error}\n")
    except BaseException as error:  # noqa: BLE001 (whatever the code raises is its own)
        PRINTED.say(_traceback(error))
    figures = _figures()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    PRINTED.say("")
    return {"ended": ended, "figures": figures, "frames": frames, "is_cut": PRINTED.is_cut}


def _value(file: str, code: str, names: dict[str, Any]) -> Any:
    """What the last expression gives; None where the code ends with none."""
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    tree = ast.parse(code, file)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, file, "exec"), names)  # noqa: S102 (what this process is for)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), file, "eval"), names)  # noqa: S307


def _traceback(error: BaseException) -> str:
    """Its lines from the code on; of what cannot be compiled its last ones alone."""
    own = traceback.TracebackException.from_exception(error)
    inner = list(dropwhile(lambda frame: not frame.filename.startswith("<call "), own.stack))
    own.stack = traceback.StackSummary.from_list(inner)
    return "".join(own.format() if inner else own.format_exception_only())


def _shown_value(value: Any, names: dict[str, Any]) -> list[Any]:
    """Print the last value; the rows of a frame are told apart."""
    if value is None:
        return []
    names["_"] = value
    PRINTED.say((value if isinstance(value, str) else repr(value)) + "\n")
    try:
        if type(value).__name__ != "DataFrame" or not hasattr(value, "itertuples"):
            return []
        head = value.iloc[:MOST_ROWS, :MOST_COLUMNS]
        rows = [[str(cell)[:CELL_CHARS] for cell in row] for row in head.itertuples(name=None)]
        columns = ["", *(str(name)[:CELL_CHARS] for name in head.columns)]
        return [{"columns": columns, "rows": rows, "size": [int(n) for n in value.shape]}]
    except Exception:  # noqa: BLE001 (it was printed; no more than a table is lost)
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
    except BaseException as error:  # noqa: BLE001 (a figure that cannot be drawn, or ■)
        PRINTED.say(f"figure: {type(error).__name__}: {error}\n")
    return pictures


def _commands() -> IO[str]:
    """The pieces that come; the code itself reads an empty input."""
    commands = os.fdopen(os.dup(0), encoding="utf-8")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return commands


def main() -> None:
    """Give up rights, then run what comes."""
    settings, answers = json.loads(sys.argv[1]), os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")
    own = runpy.run_path(str(Path(__file__).with_name("confined.py")))
    commands, is_confined = _commands(), settings.pop("is_confined")
    own["limit"](settings)
    try:
        own["confine"](is_confined)
    except (OSError, RuntimeError) as error:
        if is_confined:
            PRINTED.say(str(error))
            os._exit(UNCONFINED)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filterwarnings("ignore", ".*non-interactive, and thus cannot be shown")
    module = types.ModuleType("__main__")
    sys.modules["__main__"], sys.argv = module, [""]
    tell(answers, {"number": 0, "ended": "ready"})
    for line in commands:
        piece = json.loads(line)
        try:
            done = run(piece["number"], piece["code"], vars(module))
        except KeyboardInterrupt:  # behind the code, while what it shows was gathered
            done = {"ended": "interrupt"}
        tell(answers, {"number": piece["number"], **done})


def tell(answers: IO[str], told: dict[str, Any]) -> None:
    """A line to who waits."""
    answers.write(json.dumps(told) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
