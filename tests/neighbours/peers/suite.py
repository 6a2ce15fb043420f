"""LangChain's standard suite for chat models, run by its own pytest; says what came of each test.

Arguments: responses, chat (ChatOpenAI on the endpoint) or in-process (GptOssChat, scripted).
"""

import json
import os
import sys
from types import MappingProxyType

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

WAY = os.environ.setdefault("SUITE_WAY", sys.argv[1] if len(sys.argv) > 1 else "")


class Suite(ChatModelIntegrationTests):
    """What this model can: no pictures, sounds or files."""

    supports_json_mode = True
    supports_model_override = True
    model_override_value = "base"

    @pytest.fixture
    def model(self, request):
        extra = getattr(request, "param", None) or {}
        return self.chat_model_class(**self.chat_model_params, **extra)

    @property
    def has_tool_choice(self):
        return True


if WAY == "in-process":
    from gptoss_magic.neighbours.langchain import GptOssChat
    from gptoss_magic.scripted import scripted
    from gptoss_magic.session import current
    from tests.serving.script import answering

    class TestGptOssChat(Suite):
        chat_model_class = GptOssChat
        chat_model_params = MappingProxyType({"model": "base"})

        @pytest.fixture(scope="class", autouse=True)
        def _loaded(self, tmp_path_factory):
            import gptoss_magic
            from gptoss_magic.testing import tiny_checkpoint

            folder = tmp_path_factory.mktemp("suite") / "tiny"
            gptoss_magic.load(tiny_checkpoint(folder, max_position_embeddings=4096), context=4096)
            with scripted(current(), always=answering):
                yield

elif WAY:
    from langchain_openai import ChatOpenAI

    class TestChatOpenAI(Suite):
        chat_model_class = ChatOpenAI
        chat_model_params = MappingProxyType(
            {
                "model": "base",
                "base_url": os.environ["ENDPOINT_URL"],
                "api_key": os.environ["ENDPOINT_KEY"],
                "use_responses_api": WAY == "responses",
                "stream_usage": True,
            }
        )


class Outcomes:
    """{outcome: names of tests}."""

    def __init__(self):
        self.tests = {}

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.tests.setdefault(report.outcome, []).append(report.nodeid.rpartition("::")[2])
        if report.failed:
            sys.stderr.write(f"{report.nodeid}\n{report.longreprtext[-3000:]}\n")


if __name__ == "__main__":
    outcomes = Outcomes()
    scope = "session"
    pytest.main(
        [
            __file__,
            "-q",
            "--noconftest",
            "-c",
            os.devnull,
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "-o",
            "asyncio_mode=auto",
            "-o",
            f"asyncio_default_fixture_loop_scope={scope}",
            "-o",
            f"asyncio_default_test_loop_scope={scope}",
        ],
        plugins=[outcomes],
    )
    print(json.dumps(outcomes.tests))
