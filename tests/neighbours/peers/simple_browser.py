"""gpt-oss's own browser over pages that are written down: what it tells the model, call by call."""

import asyncio
import json
import sys
from pathlib import Path

import chz
import tiktoken
from gpt_oss.tools.simple_browser import SimpleBrowserTool
from gpt_oss.tools.simple_browser.backend import Backend, BackendError
from gpt_oss.tools.simple_browser.page_contents import Extract, PageContents
from openai_harmony import Author, Message, Role, TextContent

from tests.harmony_reference import ranks

TOKENS = "o200k_base"
WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + WORD + r"|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + WORD + r"|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)  # o200k's


@chz.chz
class Written(Backend):
    """Pages and results of a file."""

    source: str = "web (default: web)"
    told: dict = chz.field(default_factory=dict)

    async def search(self, query, topn, session):
        if query not in self.told["searches"]:
            raise BackendError("nothing is known of it")
        return contents(self.told["searches"][query])

    async def fetch(self, url, session):
        if url not in self.told["pages"]:
            raise BackendError("no such page")
        return contents(self.told["pages"][url])


def contents(page):
    snippets = page.get("snippets")
    made = snippets and {number: Extract(**one) for number, one in snippets.items()}
    return PageContents(**{**page, "snippets": made})


async def told(tool, name, arguments):
    author = Author(role=Role.ASSISTANT)
    call = Message(author=author, content=[TextContent(text=json.dumps(arguments))])
    call = call.with_recipient(f"browser.{name}").with_channel("analysis")
    (said,) = [message async for message in tool.process(call)]
    assert said.author.name == f"browser.{name}"
    assert (said.channel, said.recipient) == ("analysis", "assistant")
    return said.content[0].text


async def main(path):
    script = json.loads(Path(path).read_text())
    tool = SimpleBrowserTool(Written(told=script))
    texts = [await told(tool, name, arguments) for name, arguments in script["calls"]]
    cited = [tool.normalize_citations(text)[1] for text in script["answers"]]
    print(json.dumps({"texts": texts, "about": tool.tool_config.description, "cited": cited}))


tiktoken.registry.ENCODINGS[TOKENS] = tiktoken.Encoding(
    TOKENS, pat_str=PATTERN, mergeable_ranks=ranks(), special_tokens={"<|endoftext|>": 199999}
)
asyncio.run(main(sys.argv[1]))
