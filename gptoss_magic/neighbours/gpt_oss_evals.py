"""The resident model as a sampler of gpt_oss.evals: `GPQAEval(…)(GptOssSampler())`."""

from typing import Any

from gptoss_magic.errors import MissingPackage
from gptoss_magic.neighbours.chat_dicts import told_of_dicts
from gptoss_magic.neighbours.resident import question, whole
from gptoss_magic.vocabulary import BASE

try:
    from gpt_oss.evals.types import MessageList, SamplerBase, SamplerResponse
except ImportError as error:
    raise MissingPackage("this sampler needs gpt-oss (Python 3.12): pip install gpt-oss") from error


class GptOssSampler(SamplerBase):
    """`model`: 'base', 'base+ADAPTER', 'base@PERSONA' or both; what is None is the model's own.

    `max_tokens` of an answer, thoughts included. Several threads may ask: they are answered
    together. An error is raised, never tried again.
    """

    def __init__(
        self,
        model: str = BASE,
        *,
        developer_message: str | None = None,
        effort: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        seed: int | None = None,
        date: str | None = None,
    ) -> None:
        self.model, self.developer_message = model, developer_message
        self.settings: dict[str, Any] = {
            "effort": effort,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "seed": seed,
            "date": date,
        }

    def __call__(self, message_list: MessageList) -> SamplerResponse:
        """The `final` of one answer; `response_metadata` has its usage and how it ended."""
        messages = list(message_list)
        if self.developer_message:
            messages.insert(0, self._pack_message("developer", self.developer_message))
        said = whole(question(self.model, told_of_dicts(messages), **self.settings))
        usage = said.turn.answer.usage
        return SamplerResponse(
            response_text=said.text,
            actual_queried_message_list=messages,
            response_metadata={
                "usage": vars(usage),
                "finish": said.finish,
                "thought": said.thought,
            },
        )

    def _pack_message(self, role: str, content: Any) -> dict[str, Any]:
        """A message as the evals make them."""
        return {"role": role, "content": content}
