"""Answers of LangChain's messages as values; one that was cut off is an error, never completed."""

from typing import Any

from gptoss_magic.errors import MissingPackage

try:
    from langchain_core.exceptions import OutputParserException
    from langchain_core.output_parsers import (
        BaseOutputParser,
        JsonOutputParser,
        PydanticOutputParser,
    )
    from langchain_core.outputs import ChatGeneration, Generation
    from langchain_core.utils.pydantic import is_basemodel_subclass
except ImportError as error:
    raise MissingPackage(
        "this chat model needs langchain-core: pip install gptoss_magic[langchain]"
    ) from error


class _WholeJson(JsonOutputParser):
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        if not partial:
            _check_whole(result)
        return super().parse_result(result, partial=partial)


class _WholeModel(PydanticOutputParser[Any]):
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        if not partial:
            _check_whole(result)
        return super().parse_result(result, partial=partial)


def parser_of(schema: Any) -> BaseOutputParser[Any]:
    """A pydantic class's instances, or plain JSON."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return _WholeModel(pydantic_object=schema)
    return _WholeJson()


def _check_whole(result: list[Generation]) -> None:
    """Raise OutputParserException for an answer that ran out of tokens."""
    said = result[0]
    metadata = said.message.response_metadata if isinstance(said, ChatGeneration) else {}
    if metadata.get("finish_reason") == "length":
        raise OutputParserException(
            "the answer was cut off before its JSON was whole: give more max_tokens",
            llm_output=said.text,
        )
