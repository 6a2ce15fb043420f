"""`Tool`: a function that a model may call, with its definition and who may let it run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.quoting import one_line
from gptoss_magic.records import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.records import CodeRun, OpenPage, Passage

    AskedFor = Callable[["Tool", Mapping[str, Any], Sequence[OpenPage]], tuple["Tool", str]]

Policy = Literal["ask", "auto", "never"]
POLICIES: tuple[Policy, ...] = ("ask", "auto", "never")
NOTEBOOK = "notebook"


@dataclass(frozen=True)
class ToolResult:
    """What a tool gives back where text alone is not enough.

    `passages`: quoted in `text` under their numbers; the answer's citations are checked against
    them. `plan`: the goals as they stand now, a line each. `page`: what the browser opened; `text`
    is a window of it then, harmless and as long as it may be. `code_run`: what ran in a process of
    Python.
    """

    text: str
    passages: tuple[Passage, ...] | None = None
    plan: str = ""
    page: OpenPage | None = None
    code_run: CodeRun | None = None


@dataclass(frozen=True)
class Tool:
    """A function that a model may call.

    `parameters` is a JSON schema of type object (empty: no parameters). `function` takes them by
    keyword. `check` turns the model's arguments into the function's, or raises ValueError with
    words for the model. `policy`: 'ask' (before each call), 'auto' (runs at once) or 'never'.
    `origin` says where the function comes from, and in which process it runs. `space`: see
    `ToolSpec`. `sees_pages`: the function also takes `pages`, what the conversation has open;
    `sees_steps`: `steps`, the calls of the conversation so far.
    `offer`: what `--tool` calls it, where that is not its name. `asked_for(tool, arguments, pages)`
    gives the tool that the user is asked about for this call, and a note on it.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    function: Callable[..., Any]
    policy: Policy = "ask"
    origin: str = NOTEBOOK
    check: Callable[[dict[str, Any]], dict[str, Any]] = dict
    space: str = ""
    sees_pages: bool = False
    sees_steps: bool = False
    offer: str = ""
    asked_for: AskedFor | None = None

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise InputError(f"policy {self.policy!r}: give ask, auto or never")
        if not self.is_native and not self.name.isidentifier():
            raise InputError(f"tool {self.name!r}: a name has letters, digits and underscores")

    def __call__(self, *positional: Any, **keywords: Any) -> Any:
        """The function itself, as before it became a tool."""
        return self.function(*positional, **keywords)

    @property
    def is_native(self) -> bool:
        """True for a tool that gpt-oss knows by heart: `python`, `browser.open`."""
        return bool(self.space)

    @property
    def is_raw(self) -> bool:
        """True for a native tool without functions: a call's text is its argument, and no JSON."""
        return self.is_native and "." not in self.name

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        return ToolSpec(self.name, self.description, self.parameters, self.space)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What a consent is given to: with other code or another description it is another tool."""
        code = getattr(self.function, "__code__", None)
        body = () if code is None else (code.co_code, code.co_names, _constants(code))
        return self.name, self.origin, repr((self.description, self.parameters, body))


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *, name: str | None = None, policy: Policy = "ask"
) -> Callable[[Callable[..., Any]], Tool]: ...


@public
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    policy: Policy = "ask",
) -> Any:
    """Make a function a `Tool`: `@tool`, or `@tool(policy="auto")`.

    Type hints become the definition's types (pydantic checks the arguments), the docstring's first
    paragraph the description, its parameter section (Google, NumPy, reST) the parameters'. The
    function can still be called. `policy="auto"` lets the model run it unasked from then on: the
    user said so by running the cell that holds this line, as with any other code of that cell;
    nothing of it is stored in the notebook or outlives the kernel.
    Raises InputError for what cannot be a tool: no function, a coroutine, `*args`, `**kwargs`,
    positional-only parameters, types without a JSON form.
    """
    from gptoss_magic.agents.signature import described

    def made(given: Callable[..., Any]) -> Tool:
        about, parameters, check = described(given)
        chosen = name or str(getattr(given, "__name__", type(given).__name__))
        return Tool(chosen, about, parameters, given, policy, NOTEBOOK, check)

    return made if function is None else made(function)


def as_tool(given: Any) -> Tool:
    """A `Tool` as it is, a function as one. Raises InputError for anything else."""
    if isinstance(given, Tool):
        return given
    if not callable(given):
        raise InputError(f"tool {one_line(repr(given), 60)}: give a function")
    return tool(given)


def _constants(code: Any) -> list[Any]:
    """Constants of a code object; nested code by its bytes, not by its address."""
    return [
        (c.co_code, c.co_names, _constants(c)) if hasattr(c, "co_code") else c
        for c in code.co_consts
    ]
