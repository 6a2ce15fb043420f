"""Who may let a tool run: policies of this kernel, and the user, asked before each call.

Policies live in the kernel's session, never in the notebook: one that was opened from elsewhere
starts with everything on 'ask'. A consent is given to one function, not to its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gptoss_magic.errors import InputError
from gptoss_magic.public import public

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.agents.tools import Policy, Tool
    from gptoss_magic.records import Consent

Reply = Literal["yes", "no", "always"]

NEVER = "not run: the user has set this tool to never"
REFUSED = "not run: the user refused this call; go on without it"


class Policies:
    """What the user said of tools, by name and origin, until the kernel ends."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[Policy, tuple[str, str, str]]] = {}

    def of(self, tool: Tool) -> Policy:
        """What holds for `tool`: what the user said of this very function, else its own policy.

        A function that was redefined with other code keeps 'ask' and 'never', and loses 'auto'.
        """
        policy, identity = self._said.get(tool.identity[:2], (tool.policy, tool.identity))
        return tool.policy if policy == "auto" and identity != tool.identity else policy

    def say(self, tool: Tool, policy: Policy) -> None:
        """Remember a policy for this tool. Raises InputError for an unknown one."""
        if policy not in ("ask", "auto", "never"):
            raise InputError(f"policy {policy!r}: give ask, auto or never")
        self._said[tool.identity[:2]] = policy, tool.identity

    def names(self) -> set[str]:
        """The tools of which the user said something."""
        return {name for name, _ in self._said}

    def forget(self) -> None:
        """Everything is as the tools themselves say again."""
        self._said.clear()


def asking(policies: Policies, ask: Callable[[Tool, dict[str, Any], str], Reply | None]) -> Consent:
    """A consent that follows `policies` and else asks; `ask` gives None where nobody is there."""

    def decide(tool: Tool, arguments: dict[str, Any], note: str) -> str | None:
        policy = policies.of(tool)
        if policy != "ask":
            return NEVER if policy == "never" else None
        reply = ask(tool, arguments, note)
        if reply is None:
            return headless(tool)
        if reply == "always":
            policies.say(tool, "auto")
        return REFUSED if reply == "no" else None

    return decide


@public
def by_policy(policies: Policies | None = None) -> Consent:
    """A consent for scripts, where nobody is asked: what is not 'auto' is refused."""
    return asking(policies or Policies(), lambda tool, arguments, note: None)


def headless(tool: Tool) -> str:
    """The words where consent is needed and nobody can be asked."""
    return (
        f"not run: {tool.name} needs the user's consent, and nobody can be asked here "
        f"(%gptoss tools allow {tool.offer or tool.name}, in a cell before, lets it run unasked)"
    )
