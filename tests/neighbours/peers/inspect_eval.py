"""inspect-ai: three samples with a tool, over both APIs. Its logs go to the folder given."""

import json
import os
import sys

os.environ |= {
    "GPTOSS_BASE_URL": os.environ["ENDPOINT_URL"],
    "GPTOSS_API_KEY": os.environ["ENDPOINT_KEY"],
}

import inspect_ai  # noqa: E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.model import get_model  # noqa: E402
from inspect_ai.scorer import includes  # noqa: E402
from inspect_ai.solver import generate, use_tools  # noqa: E402
from inspect_ai.tool import tool  # noqa: E402


@tool
def weather():
    async def execute(city: str):
        """Tells the weather.

        Args:
            city: Where.
        """
        return f"Солнце в {city}"

    return execute


def told(is_responses):
    samples = [Sample(input=f"Say nonce-{n}", target=f"nonce-{n}") for n in range(3)]
    task = inspect_ai.Task(
        dataset=samples, solver=[use_tools(weather()), generate()], scorer=includes()
    )
    model = get_model("openai-api/gptoss/base", responses_api=is_responses)
    (log,) = inspect_ai.eval(task, model=model, display="none", log_dir=sys.argv[1])
    roles = [message.role for message in log.samples[0].messages]
    accuracy = log.results.scores[0].metrics["accuracy"].value if log.results else None
    return {"status": log.status, "roles": roles, "accuracy": accuracy, "error": str(log.error)}


print(json.dumps({"responses": told(True), "chat": told(False)}))
