"""Every error that this package raises on purpose.

GptOssError            one line for the user: what was given, what is wrong, what to do
├── InputError         (ValueError)   an option, name or body that cannot be used
├── MissingPackage     (ImportError)  a package that this feature needs is not installed
├── NotLoaded          (RuntimeError) no model in this kernel, or another one than asked for
├── CheckpointError    (ValueError)   a missing, damaged or foreign checkpoint
├── DoesNotFit         (MemoryError)  the plan needs more memory than there is
├── ContextOverflow    (ValueError)   the prompt and its answer exceed the context
├── StorageError       (OSError)      a file or cache directory that cannot be written
├── ServerError        (ConnectionError) a server that refuses, fails, or goes away
├── LaunchError        (ChildProcessError) a process of a launched run that failed or was killed
└── UnexpectedError    (RuntimeError) anything else: a fault of ours, or of what a cell called
"""

from __future__ import annotations

from gptoss_magic.quoting import one_line

MAX_CHARS = 1000  # of what another package says


class GptOssError(Exception):
    """Base of the tree. IPython shows one line for it; `%gptoss traceback` shows the rest."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class InputError(GptOssError, ValueError):
    """An option, name or body that cannot be used."""


class MissingPackage(GptOssError, ImportError):
    """A package that this feature needs is not installed."""


class NotLoaded(GptOssError, RuntimeError):
    """No model is loaded in this kernel, or another one than asked for."""


class CheckpointError(GptOssError, ValueError):
    """A checkpoint that is missing, damaged or not gpt-oss."""


class DoesNotFit(GptOssError, MemoryError):
    """A plan that needs more memory than there is."""


class ContextOverflow(GptOssError, ValueError):
    """A prompt that, with its answer, exceeds the context."""


class StorageError(GptOssError, OSError):
    """A file or directory that cannot be written."""

    def __str__(self) -> str:
        return " ".join(str(part) for part in self.args)


class ServerError(GptOssError, ConnectionError):
    """A server that refuses, fails, or goes away. `ends_all`: as it would to any other request."""

    ends_all = False


class LaunchError(GptOssError, ChildProcessError):
    """A process of a launched run that failed or was killed."""


class UnexpectedError(GptOssError, RuntimeError):
    """An error that nobody foresaw: of this package, or of code that a cell or a tool called."""


def errors_in(error: BaseException) -> list[BaseException]:
    """The errors of a group, whose own words say only that it is a group; else the error alone."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [one for inner in error.exceptions for one in errors_in(inner)]


def error_line(error: BaseException) -> str:
    """One printable line for any error: its own words, and its kind where they are not ours."""
    root, *others = errors_in(error)
    more = f" (and {len(others)} more)" if others else ""
    if isinstance(root, GptOssError):
        return f"{one_line(_words(root))}{more}"
    kind, words = type(root).__name__, one_line(_words(root), MAX_CHARS)
    return f"{kind}: {words}{more}" if words else f"{kind}{more}"


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001 (the words of an error are another package's code)
        return f"its message cannot be read ({type(failed).__name__})"


def shown_error(error: BaseException) -> GptOssError:
    """`error` as one of this tree, of one line; another object, with nothing chained to it."""
    root, line = errors_in(error)[0], error_line(error)
    if isinstance(root, GptOssError):
        return _class_of(root)(line)
    for kind, ours, advice in _OURS:
        if isinstance(root, kind) or (ours is DoesNotFit and _is_out_of_memory(root)):
            return ours(f"{line}; {advice}")
    return UnexpectedError(f"{line}; %gptoss traceback shows where")


def _class_of(error: GptOssError) -> type[GptOssError]:
    """Its class of the tree above: one of another module may take other arguments."""
    tree = (kind for kind in type(error).__mro__ if kind.__module__ == __name__)
    return next(kind for kind in tree if issubclass(kind, GptOssError))


def _is_out_of_memory(error: BaseException) -> bool:
    """True for torch's own, which is a RuntimeError."""
    return type(error).__name__ == "OutOfMemoryError"


_OURS: tuple[tuple[type[BaseException], type[GptOssError], str], ...] = (
    (ImportError, MissingPackage, "install that package; %gptoss traceback shows who wants it"),
    (MemoryError, DoesNotFit, "free some memory, or ask for less: fewer tokens, a smaller batch"),
    (OSError, StorageError, "%gptoss traceback shows where"),
)
