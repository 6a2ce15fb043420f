"""Pages of a source that is written down, and calls of a browser over them."""

from gptoss_magic.agents.browser.browse import Browse
from gptoss_magic.agents.browser.tools import browser_tools
from gptoss_magic.agents.calls import arguments_of
from gptoss_magic.agents.loop import outcome_of
from gptoss_magic.errors import InputError
from gptoss_magic.harmony.drafts import called
from gptoss_magic.records import Snippet, SourcePage


def chars(text):
    """Tokens of four characters."""
    return [len(text[at : at + 4]) for at in range(0, len(text), 4)]


class Written:
    """A source of pages by URL; `search` gives all of them, in order. `reads` counts by URL."""

    def __init__(self, pages, name="web", *, is_remote=False, prefix="https://"):
        self.name, self.is_remote, self.prefix = name, is_remote, prefix
        self.pages = {page.url: page for page in pages}
        self.reads = []

    def owns(self, url):
        return url.startswith(self.prefix)

    def search(self, query, k):
        return [Snippet(page.url, page.title, page.text[:40]) for page in self.pages.values()][:k]

    def fetch(self, url, *, is_raw=False):
        self.reads.append(url)
        if url not in self.pages:
            raise InputError("no such page")
        return self.pages[url]


def page(url, text, title="Title", **links):
    return SourcePage(url, title, text, {key.strip("_"): value for key, value in links.items()})


class Calls:
    """A browser that is called as the model would, its stack kept."""

    def __init__(self, *sources, widths=chars):
        self.tools = {tool.name: tool for tool in browser_tools(sources, widths)}
        self.browse = Browse(sources, widths)
        self.opened = []

    def __call__(self, name, raw):
        """What the model is told."""
        tool = self.tools[f"browser.{name}"]
        arguments, _ = arguments_of(called(f"browser.{name}", raw), tool)
        _, value = outcome_of(tool, {**arguments, "pages": tuple(self.opened)}, 10.0)
        if isinstance(value, str):
            return value
        self.opened.append(value.page)
        return value.text
