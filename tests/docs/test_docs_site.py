"""The site as it is built: strict, whole, without the network; seen in a browser from the disk."""

import json
import re
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import gptoss_magic
from gptoss_magic import errors
from tests.docs.docs_pages import made
from tools.docs_site.magic_pages import magics, parsers

ROOT = Path(__file__).parents[2]
PAGES = (
    "index.html",
    "start/laptop.html",
    "how-to/cite.html",
    "reference/magics/gptoss.html",
    "reference/api/turns.html",
)
NARROW = 320


class Links(HTMLParser):
    """Addresses that a page goes to or fetches from, and its anchors."""

    def __init__(self):
        super().__init__()
        self.fetched, self.followed, self.anchors, self.text = [], [], set(), []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.fetched.append(given["src"])
        if tag == "link" and given.get("href"):
            self.fetched.append(given["href"])
        if tag == "a" and given.get("href"):
            self.followed.append(given["href"])

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """{address: its links and text} of a fresh build, and its folder."""
    pytest.importorskip("mkdocs", reason="mkdocs is missing: pip install -r requirements/docs.txt")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {}
    for path in folder.rglob("*.html"):
        pages[str(path.relative_to(folder))] = read = Links()
        read.feed(path.read_text("utf-8"))
    return folder, pages


def test_every_magic_option_name_error_and_variable_is_on_it(site):
    _, pages = site
    texts = {uri: " ".join(page.text) for uri, page in pages.items()}
    for uri in made():
        assert uri.replace(".md", ".html") in pages
    for magic in magics():
        assert magic.name in texts[magic.uri.replace(".md", ".html")]
    places = {magic.name: magic.uri.replace(".md", ".html") for magic in magics()}
    for prog, parser in parsers().items():
        place = places[prog if prog.startswith("%%") else " ".join(prog.split()[:2])]
        flags = set(parser._option_string_actions) - {"-h", "--help"}  # noqa: SLF001
        for flag in flags:
            assert flag in texts[place], f"{prog} {flag}"
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    for name in gptoss_magic.__all__:
        assert f"gptoss_magic.{name}" in anchors, name
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.GptOssError):
            assert f"gptoss_magic.{name}" in pages["reference/api/errors.html"].anchors
    for name in ("GPTOSS_MAGIC_CACHE", "OMP_WAIT_POLICY", "JPY_SESSION_NAME"):
        assert name in texts["reference/environment.html"]
    names = ("quickstart", "map", "specialise", "retrieval", "persona_and_tools", "agent", "depth")
    for name in names:
        assert "%load_ext gptoss_magic" in "".join(pages[f"tutorials/{name}.html"].text)


def test_nothing_is_fetched_from_the_network(site):
    folder, pages = site
    foreign = {
        (uri, address)
        for uri, page in pages.items()
        for address in page.fetched
        if re.match(r"(https?:)?//", address)
    }
    assert foreign == set()
    for sheet in folder.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", sheet.read_text("utf-8")), sheet


def test_every_link_and_anchor_of_the_site_is_there(site):
    folder, pages = site
    missing = []
    for uri, page in pages.items():
        if uri == "404.html":
            continue
        for address in (*page.followed, *page.fetched):
            path, _, anchor = address.partition("#")
            if re.match(r"[a-z]+:", address):
                continue
            target = (
                (folder / uri).parent / unquote(path.partition("?")[0]) if path else folder / uri
            )
            target = target.resolve()
            if not target.exists():
                missing.append((uri, address))
            elif anchor and target.suffix == ".html":
                there = pages[str(target.relative_to(folder.resolve()))].anchors
                if unquote(anchor) not in there:
                    missing.append((uri, address))
    assert missing == []


def test_no_place_of_a_machine_stands_in_it(site):
    folder, _ = site
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".js", ".json", ".css", ".xml"):
            text = path.read_text("utf-8")
            assert str(ROOT) not in text, path
            assert str(folder) not in text, path


def test_the_index_of_the_search_has_the_reference(site):
    folder, _ = site
    index = json.loads((folder / "search/search_index.json").read_text("utf-8"))
    locations = {entry["location"] for entry in index["docs"]}
    assert {"reference/magics/lora.html", "how-to/tune.html"} <= locations


def tab(browser):
    """A page without the network; what it asked for, and what went wrong in it."""
    page, asked, problems = browser.start().new_context().new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.on("pageerror", lambda error: problems.append(str(error)))
    return page, asked, problems


@pytest.fixture
def opened(browser, site):
    """A page that shows and remembers nothing, the site, what it asks for, and its problems."""
    page, asked, problems = browser.keep("site", partial(tab, browser))
    page.set_viewport_size({"width": 1200, "height": 900})
    asked.clear()
    problems.clear()
    yield page, site[0], asked, problems
    page.evaluate("() => localStorage.clear()")
    page.goto("about:blank")


@pytest.mark.parametrize("uri", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_stand_in_light_dark_and_narrow(opened, uri, scheme):
    page, folder, asked, problems = opened
    page.emulate_media(color_scheme=scheme)
    page.goto(f"file://{folder / uri}")
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(map(int, re.findall(r"\d+", shade)[:3])) / 3
    assert (lightness > 128) == (scheme == "light"), shade
    page.set_viewport_size({"width": NARROW, "height": 700})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= NARROW
    assert page.locator("h1").first.is_visible()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert problems == []


def test_the_search_finds_an_option_without_a_server_or_the_network(opened):
    page, folder, asked, problems = opened
    page.goto(f"file://{folder / 'index.html'}")
    asked_for = page.locator("input[name=query]")
    asked_for.click()
    asked_for.press_sequentially("mask-experts", delay=20)
    found = page.locator(".md-search-result__link").first
    found.wait_for(timeout=20_000)
    links = page.locator(".md-search-result__link").evaluate_all("all => all.map(one => one.href)")
    (wanted, *_) = [link for link in links if "/reference/magics/gptoss.html" in link]
    page.goto(wanted)
    assert "--mask-experts" in page.locator("article").inner_text()
    assert [url for url in asked if url.startswith("http")] == []
    assert problems == []
