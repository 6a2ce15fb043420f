"""What a caller is told when a request cannot be answered: a status, and OpenAI's error object."""

from __future__ import annotations

from typing import Any

from gptoss_magic.errors import (
    ContextOverflow,
    DoesNotFit,
    InputError,
    MissingPackage,
    NotLoaded,
    error_line,
)
from gptoss_magic.session import current

RETRY_S = 5  # after so long a caller may ask again
INVALID, SERVER = "invalid_request_error", "server_error"
STOPPED = "the answer was stopped in the notebook"


class ApiError(Exception):
    """`status` of HTTP; `message`, `kind`, `code` and `param` as OpenAI's errors have them."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind
        self.code, self.param = code, param

    @property
    def headers(self) -> dict[str, str]:
        """What a caller is to do besides."""
        return {"Retry-After": str(RETRY_S)} if self.status == 503 else {}

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        fault = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": fault}


def api_error(error: BaseException) -> ApiError:
    """`error` as a caller is told it: nothing of it is a traceback."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return ApiError(503, STOPPED, kind=SERVER)
    if str(error) and str(error) == current().queue.closed_by:
        return ApiError(503, str(error), kind=SERVER, code="model_busy")
    known = (row for row in KNOWN if isinstance(error, row[0]))
    _, status, kind, code = next(known, (Exception, 500, SERVER, "internal_error"))
    return ApiError(status, error_line(error), kind=kind, code=code)


KNOWN: tuple[tuple[type[BaseException], int, str, str | None], ...] = (
    (NotLoaded, 503, SERVER, "model_not_loaded"),
    (ContextOverflow, 400, INVALID, "context_length_exceeded"),
    (MissingPackage, 501, SERVER, "missing_package"),
    (DoesNotFit, 503, SERVER, "out_of_memory"),
    (MemoryError, 503, SERVER, "out_of_memory"),
    (InputError, 400, INVALID, None),
)
