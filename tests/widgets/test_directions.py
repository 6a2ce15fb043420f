"""Arabic and Hebrew are written from right to left, beside English that is not, in each output."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gptoss_magic import widgets
from gptoss_magic.records import Passage, Step, ToolCall, Transcript
from gptoss_magic.retrieval.cite import check
from gptoss_magic.widgets.partings import partings_html
from gptoss_magic.widgets.sources import sources_html
from gptoss_magic.widgets.static_html import transcript_html
from gptoss_magic.widgets.tables import side_by_side_html, table_html

STATIC = Path(widgets.__file__).parent / "static"
ARABIC, HEBREW = "تعير المكتبة ستة كتب.", "הספרייה נסגרת בתשע."
FINAL = f"""{ARABIC}

An English paragraph.

1. {HEBREW}
2. {ARABIC}

> {ARABIC}

```python
x = 1  # {ARABIC}
```
"""
GIVEN = (Passage(1, "town", "town/library.md", "", 1, 2, f"{ARABIC}\nEnglish."),)
STEP = Step(1, ToolCall("search", {"query": "x"}, "{}"), "result", ARABIC, HEBREW, ARABIC, 1.0)
SAID = Transcript(f"{ARABIC}\n\nWords.", FINAL, "", (), steps=(STEP,), passages=GIVEN)
CITED = Transcript("", f"{ARABIC} 【1†L1】", "", (), passages=GIVEN)
LIVE = """async ([code, style, parts]) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
  const heard = {};
  const model = { get: () => undefined, on: (name, f) => (heard[name] = f), send: () => {} };
  const module = await import(`data:text/javascript;base64,${code}`);
  module.default.render({ model, el: document.body });
  heard["msg:custom"]({ seconds: 0, read: [0, 0], parts });
}"""
# of each line of a block: how far it is from the block's left and right edge
EDGES = """(block) => {
  const [box, lines] = [block.getBoundingClientRect(), []];
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const one of range.getClientRects())
      if (one.width > 1) lines.push([one.left - box.left, box.right - one.right]);
  }
  return lines;
}"""


class Directions(HTMLParser):
    """(text, the `dir` of the nearest element around it that has one) of each text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.found = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(dict(attrs).get("dir") or (self.open[-1] if self.open else ""))

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        self.found.append((data, self.open[-1] if self.open else ""))


OUTPUTS = {
    "answer": transcript_html(SAID),
    "cited": transcript_html(
        Transcript("", CITED.final, "", (), passages=GIVEN, citations=check(CITED.final, GIVEN))
    ),
    "sources": sources_html(GIVEN, query=ARABIC),
    "table": table_html(("text", "n"), [(ARABIC, 1), ("English", 2)]),
    "side by side": side_by_side_html(HEBREW, {"base": SAID}, {}),
    "replay": partings_html({"cell 1": (ARABIC, HEBREW, ARABIC)}),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_each_text_from_right_to_left_finds_its_direction(name):
    texts = [(text, way) for text, way in Directions(OUTPUTS[name]).found if not text.isascii()]
    written = [(text, way) for text, way in texts if re.search("[\u0590-\u06ff]", text)]
    assert written
    in_code = [way for text, way in written if text.startswith("#")]
    assert {way for text, way in written if not text.startswith("#")} == {"auto"}
    assert set(in_code) <= {"ltr"}


def test_a_browser_writes_each_block_in_its_own_direction(browser):
    page = browser.start().new_page()
    page.set_content(OUTPUTS["answer"])
    ways = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(".gptoss-final > *")].map(
          (node) => [node.tagName, getComputedStyle(node).direction]).reverse())"""
    )
    assert ways == {"P": "rtl", "OL": "rtl", "BLOCKQUOTE": "rtl", "PRE": "ltr"}
    second = page.locator(".gptoss-final > p >> nth=1")
    assert second.evaluate("node => getComputedStyle(node).direction") == "ltr"
    page.close()


@pytest.mark.parametrize("channel", ["final", "analysis", "functions.find", "result · find()"])
def test_a_live_answer_has_each_line_in_its_own_direction(browser, channel):
    page = browser.start().new_page()
    page.set_content("<body></body>")
    code = base64.b64encode((STATIC / "transcript.js").read_bytes()).decode()
    parts = [{"i": 0, "c": channel, "o": 0, "t": f"{ARABIC}\nEnglish.\n{HEBREW}"}]
    page.evaluate(LIVE, [code, (STATIC / "transcript.css").read_text(), parts])
    block = page.locator(".gptoss-final, .gptoss-analysis > div, .gptoss-call").first
    first, second, third = block.evaluate(EDGES)
    page.close()
    assert first[1] == pytest.approx(third[1], abs=2)
    assert first[1] < 40 < first[0]
    assert second[0] < 40 < second[1]
