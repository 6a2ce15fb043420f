"""Our tools as LangChain's, with the same consent; needs langchain-core."""

from typing import Any

from gptoss_magic.agents.calls import result_of
from gptoss_magic.agents.consent import by_policy
from gptoss_magic.agents.tools import Tool, as_tool
from gptoss_magic.errors import MissingPackage
from gptoss_magic.records import Consent, Limits

try:
    from langchain_core.tools import StructuredTool
except ImportError as error:
    raise MissingPackage(
        "these tools need langchain-core: pip install gptoss_magic[langchain]"
    ) from error


def langchain_tools(*tools: Any, consent: Consent | None = None) -> list[StructuredTool]:
    """Functions, or what `@gptoss_magic.tool` made of them, for a LangGraph agent.

    Each call asks `consent(tool, arguments, note)`, as in `generate`; without one those run that
    `@tool(policy="auto")` made, and the agent is told that the others do not. Wrong arguments and
    a result that is too long are told to the model. Raises InputError for what is no tool.
    """
    allows = consent or by_policy()
    return [_langchain_tool(as_tool(tool), allows) for tool in tools]


def _langchain_tool(tool: Tool, allows: Consent) -> StructuredTool:
    def call(**arguments: Any) -> str:
        try:
            checked = tool.check(arguments)
        except ValueError as error:
            return str(error)
        refusal = allows(tool, checked, "")
        return refusal or result_of(tool(**checked), Limits().chars)[0].text

    schema = {"type": "object", "properties": {}, **tool.parameters, "title": tool.name}
    return StructuredTool.from_function(
        call, name=tool.name, description=tool.description or tool.name, args_schema=schema
    )
