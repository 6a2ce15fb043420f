"""The browser against gpt-oss's own, `gpt_oss.tools.simple_browser` 0.0.9: 45 calls, the same text.

What differs is named in `OURS`, and `docs/browser.md` says why.
"""

import json

import pytest
from harmony_reference import RealTokenizer

from benchmarks.figure import Unavailable
from benchmarks.peers import python_with
from gptoss_magic.agents.browser.results import search_page
from gptoss_magic.agents.browser.tools import browser_tools
from gptoss_magic.errors import InputError
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.records import Snippet, SourcePage
from gptoss_magic.retrieval.cite import check
from tests.neighbours.conftest import ROOT, Peers
from tests.page_sources import Calls, Written

pytestmark = pytest.mark.slow

PARAGRAPH = "The Moon orbits the Earth in 27.3 days, and its tides 【0†come twice】 a day. "
LONG = "\n".join(f"Row {n}: " + (PARAGRAPH * (n % 4)).strip() if n % 7 else "" for n in range(600))
RUSSIAN = "\n".join(
    f"Строка {n}: Луна обращается вокруг Земли, а её 【1†приливы†tides.test】 — дважды в сутки."
    for n in range(120)
)
WIDE = "слово" * 300 + "\n" + "word" * 300 + "\n🌙" * 40
LINKS = {"0": "https://moon.test/tides", "1": "https://tides.test/"}


def page(url, title, text):
    return {"url": url, "title": title, "text": text, "urls": LINKS}


PAGES = {
    one["url"]: one
    for one in [
        page("https://moon.test/long", "Long", f"\nURL: https://moon.test/long\n{LONG}"),
        page("https://moon.test/ru", "По-русски", RUSSIAN),
        page("https://moon.test/wide", "Wide", WIDE),
        page("https://moon.test/tides", "Tides", "Tides come twice a day.\n\nEnd"),
        page("https://tides.test/", "Приливы", "Дважды."),
        page("https://moon.test/a%20b?q=%D0%BB", "Escaped", "x\n\n\n y  z \n"),
        page("https://moon.test/empty", "", ""),
    ]
}
HITS = [
    Snippet("https://moon.test/long", "Long", "Rows on the Moon", 40),
    Snippet("https://moon.test/tides", "Tides", "Tides, twice", None),
    Snippet("https://moon.test/ru", "По-русски", "Луна", 3),
]


class Searched(Written):
    """A source whose search knows one query."""

    def search(self, query, k):
        if query != "moon":
            raise InputError("nothing is known of it")
        return HITS


def call(name, **arguments):
    return name, arguments


URL = "https://moon.test/"
CALLS = [
    call("open"),
    call("find", pattern="x"),
    call("open", cursor=0),
    call("search", query="moon"),
    call("open", id=0),
    call("open"),
    call("open", loc=100),
    call("open", loc=100, num_lines=3),
    call("open", cursor=1, loc=5),
    call("open", id=0, cursor=1),
    call("find", pattern="Row 59"),
    call("open", id=1),
    call("open", id=0),
    call("find", pattern="Tides 【"),
    call("find", pattern="come twice"),
    call("open", id=99),
    call("find", pattern="x", cursor=10),
    call("find", pattern="x", cursor=0),
    call("open", cursor=99),
    call("open", cursor=1, loc=99999),
    call("open", id=f"{URL}ru"),
    call("open", loc=60),
    call("find", pattern="ПРИЛИВЫ"),
    call("open", id=49),
    call("open", id=f"{URL}wide"),
    call("open", loc=20, num_lines=5),
    call("find", pattern="словослово"),
    call("open", id=f"{URL}none"),
    call("open", id=f"{URL}a%20b?q=%D0%BB"),
    call("open", id=f"{URL}empty"),
    call("find", pattern="nothing there"),
    call("open", id=0, cursor=0),
    call("open", id=1, cursor=0),
    call("open", id=2, cursor=0),
    call("open", id=2, cursor=0, loc=0),
    call("open", id=2, cursor=0, loc=2, num_lines=1),
    call("search", query="unknown"),
    call("search", query="moon", topn=3),
    call("open", cursor=-2),
    call("open", id=f"{URL}tides"),
    call("open", id=-1, loc=1),
    call("open", id=f"{URL}{'x' * 1100}"),
    call("find", pattern="a" * 80),
    call("open", id=f"{URL}long", num_lines=40),
    call("find", pattern="Earth", cursor=2),
]
OURS = {}
ANSWERS = ["It is so 【1†L5-L6】, and so 【99†L1】.", "No 【1†half"]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    found = search_page("moon", [("web", hit) for hit in HITS])
    snippets = {
        number: {"url": hit.url, "title": hit.title, "text": hit.text, "line_idx": hit.line}
        for number, hit in found.snippets.items()
    }
    results = {"url": "", "title": "moon", "text": found.text, "urls": dict(found.urls)}
    script = {
        "pages": PAGES,
        "searches": {"moon": results | {"snippets": snippets}},
        "calls": CALLS,
        "answers": ANSWERS,
    }
    path = tmp_path_factory.mktemp("browser") / "script.json"
    path.write_text(json.dumps(script))
    peers = Peers.__new__(Peers)
    try:
        pins = ROOT / "requirements" / "gpt-oss.txt"
        peers.python = python_with(pins, "--no-deps", "--ignore-requires-python")
    except Unavailable as error:
        pytest.skip(str(error))
    return json.loads(peers.run("simple_browser.py", path, has_ours=True).splitlines()[-1])


@pytest.fixture(scope="module")
def ours():
    codec = HarmonyCodec(RealTokenizer())

    def widths(text):
        pieces = map(codec.token_bytes, codec.encode(text))
        return [len(piece.decode("utf-8", "replace")) for piece in pieces]

    pages = [SourcePage(**one) for one in PAGES.values()]
    calls = Calls(Searched(pages), widths=widths)
    texts = []
    for name, arguments in CALLS:
        texts.append(calls(name, json.dumps(arguments)))
    return texts, calls.opened


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_each_call_tells_the_model_the_same(theirs, ours, number):
    expected = OURS.get(number, lambda text: text)(theirs["texts"][number])
    assert ours[0][number] == expected


def test_the_namespace_says_the_same(theirs):
    (tool, *_) = browser_tools([Written([], "web")], lambda text: [])
    assert tool.space == theirs["about"].replace("sources=web (default: web)", tool.space[-26:])
    assert tool.space.endswith("sources=web (default: web)")


def test_the_same_marks_are_citations(theirs, ours):
    """Theirs are urls alone: a page's; ours have lines too."""
    opened = {one.cursor: one for one in ours[1]}
    for text, urls in zip(ANSWERS, theirs["cited"], strict=True):
        passages = [one.passage for one in opened.values()]
        known = [c for c in check(text, passages) if c.number in opened]
        assert [opened[c.number].page.url for c in known] == [one["url"] for one in urls]
