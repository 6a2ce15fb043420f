"""Every error that this package raises on purpose.

GptOssError            one line for the user: what was given, what is wrong, what to do
├── InputError         (ValueError)   an option, name or body that cannot be used
├── MissingPackage     (ImportError)  a package that this feature needs is not installed
├── NotLoaded          (RuntimeError) no model in this kernel, or another one than asked for
├── CheckpointError    (ValueError)   a missing, damaged or foreign checkpoint
├── DoesNotFit         (MemoryError)  the plan needs more memory than there is
├── ContextOverflow    (ValueError)   the prompt and its answer exceed the context
├── StorageError       (OSError)      a file or cache directory that cannot be written
└── UnexpectedError    (RuntimeError) anything else: a fault of ours, or of what a cell called
"""

from __future__ import annotations


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


class UnexpectedError(GptOssError, RuntimeError):
    """An error that nobody foresaw: of this package, or of code that a cell or a tool called."""


def root_of(error: BaseException) -> BaseException:
    """The first error inside a group, whose own words say only that it is a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def error_line(error: BaseException) -> str:
    """One line for any error: its own words, and its kind where they are not ours."""
    root = root_of(error)
    words = " ".join(str(root).split())
    if isinstance(root, GptOssError):
        return words
    kind = type(root).__name__
    return f"{kind}: {words}" if words else kind


def shown_error(error: BaseException) -> GptOssError:
    """`error` as one of this tree, of one line; another object, with nothing chained to it."""
    root = root_of(error)
    line = error_line(root)
    if isinstance(root, GptOssError):
        return type(root)(line)
    for kind, ours, advice in _OURS:
        if isinstance(root, kind) or (ours is DoesNotFit and _is_out_of_memory(root)):
            return ours(f"{line}; {advice}")
    return UnexpectedError(f"{line}; %gptoss traceback shows where")


def _is_out_of_memory(error: BaseException) -> bool:
    """True for torch's own, which is a RuntimeError."""
    return type(error).__name__ == "OutOfMemoryError"


_OURS: tuple[tuple[type[BaseException], type[GptOssError], str], ...] = (
    (ImportError, MissingPackage, "install that package; %gptoss traceback shows who wants it"),
    (MemoryError, DoesNotFit, "free some memory, or ask for less: fewer tokens, a smaller batch"),
    (OSError, StorageError, "%gptoss traceback shows where"),
)
