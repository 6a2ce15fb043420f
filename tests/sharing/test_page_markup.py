"""HTML, CSS, LaTeX and terminal text of others: what stays, what does not; none takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.sharing.pages.allowlist import ALLOWED
from gptoss_magic.sharing.pages.ansi import ansi_html, overwritten
from gptoss_magic.sharing.pages.cleaner import Cleaner
from gptoss_magic.sharing.pages.contrast import DARK, LIGHT, both_themes, contrast
from gptoss_magic.sharing.pages.listing import source_html
from gptoss_magic.sharing.pages.maths import typeset
from gptoss_magic.sharing.pages.origin import Headings, Origin
from gptoss_magic.sharing.pages.prose import markdown_html
from gptoss_magic.sharing.pages.sheets import Sheets
from tests.page_cases import HOSTILE, PNG

TAG = re.compile(r"</?([a-z][a-z0-9-]*)((?: [a-z:-]+(?:=\"[^\"<>]*\")?)*)>")


def cleaned(html):
    """(what is left, what was left out, the styles) of one output."""
    sheets = Sheets()
    cleaner = Cleaner(Origin("o1", sheets, Headings(), typeset=typeset))
    return cleaner.clean(html), cleaner.left, sheets.css()


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_but_the_allowlist_is_written(name):
    html, _, css = cleaned(HOSTILE[name])
    check_written(html)
    assert "evil.test" not in css
    assert "<" not in css


def check_written(html):
    """Allowed tags with quoted attributes and escaped text alone."""
    for name, attributes in TAG.findall(html):
        assert name in ALLOWED
        assert not re.search(r' (on\w+|style|srcset|ping|target|poster)="', attributes)
        assert not re.search(r'(src|href)="(?!data:image|https://x\.test|#|[xz]")', attributes)
    assert "<" not in TAG.sub("", html)


PIECES = """< > </ <!-- --> <![CDATA[ ]]> ' " = / & &lt; a b img svg script style title p ul li td
table onerror=hit=1 src=x href=javascript:x style=color:red é textarea math mtext"""
MARKUP = st.lists(st.sampled_from([*PIECES.split(), "\0", "\n"]), max_size=40)


@given(MARKUP)
def test_no_mixture_of_pieces_becomes_more(pieces):
    check_written(cleaned("".join(pieces))[0])
    check_written(cleaned(" ".join(pieces))[0])


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<script src='https://x.test/a.js'></script>", "1 script (https://x.test/a.js)"),
        ("<img src='http://x.test/a.png'><img src=b.png>", "2 images (http://x.test/a.png, b.png)"),
        ("<iframe></iframe><p onclick=x>a</p>", "1 frame; 1 event handler"),
        ("<a href='file:///home/a'>a</a>", "1 link (file:///home/a)"),
        ("<select><option>a</select><textarea>b</textarea>", "2 form fields"),
        ("<link rel=stylesheet href=//x.test/a.css>", "1 style of the network (//x.test/a.css)"),
        ("<b>fine</b>", ""),
    ],
)
def test_what_is_left_out_is_named(html, words):
    assert str(cleaned(html)[1]) == words


def test_what_a_page_can_show_stays():
    html, left, css = cleaned(
        "<table border=1><tr><th scope=col>a<td colspan=2 style='color: red; text-align: right'>"
        f"1</table><img alt=dot src='data:image/png;base64,{PNG}'>"
        "<svg viewBox='0 0 9 9'><clipPath id=c /><path d='M0 0' clip-path='url(#c)'/></svg>"
        "<a href='https://x.test/?a=1&b=2'>x</a> <a href='other.md#part'>y</a> <a href='#top'>z</a>"
        "<details open><summary>s</summary>t</details><ruby>漢<rt>kan</rt></ruby>"
    )
    for part in (
        *('<th scope="col">', 'colspan="2"', 'viewbox="0 0 9 9"', 'clip-path="url(#o1-c)"'),
        *('id="o1-c"', 'href="https://x.test/?a=1&amp;b=2"', 'href="other.md#part"'),
        *('href="#o1-top"', "<details open>", 'alt="dot"', "<rt>"),
    ):
        assert part in html
    assert "text-align: right" in css
    assert not left


def test_screen_readers_get_lists_headings_and_names():
    html, _, _ = cleaned(
        "<h4>a</h4><h1>b</h1><h6>c</h6><h3></h3><li>lone</li><ul>text<ul><li>in</ul></ul>"
        "<dd>lone</dd><a href='https://x.test'></a><img src='data:image/gif;base64,R0lGODlh'>"
        "<div role=button tabindex=3 aria-labelledby=x lang=xx>d</div><summary>e</summary>"
    )
    assert re.findall(r"<h\d>", html) == ["<h2>", "<h2>", "<h3>"]
    assert "<div>lone</div>" in html
    assert "<ul><li>text<ul><li>in</li></ul></li></ul>" in html
    assert '<a rel="noopener noreferrer"></a>' in html
    assert 'alt="image"' in html
    for word in ("role=", "tabindex", "aria-labelledby", "lang=", "<summary"):
        assert word not in html


def test_sheets_stay_within_their_output():
    html, left, css = cleaned(
        "<style>#T_1 td, .a:hover { color: #777 } :root { --x: 1px } a & b { color: red }"
        " .f { position: fixed; width: expression(1) } @media print { td { color: #000 } }"
        " td { background: url(http://x.test/a.png) }</style>"
        "<table id=T_1 class='a gp-left'></table>"
    )
    assert css.startswith("@layer sheets {\n#o1 {\n#o1-T_1 td, .a:hover {")
    assert "& { --x: 1px }" in css
    assert "@media print {" in css
    for word in ("a & b", "fixed", "expression", "x.test"):
        assert word not in css
    assert 'id="o1-T_1" class="a"' in html
    assert str(left) == "1 style of the network (url(http://x.test/a.png))"


@pytest.mark.parametrize("colour", [(0, 0, 0), (1, 1, 1), (0.7, 0.7, 0.7), (1, 1, 0), (0, 0, 0.5)])
def test_any_colour_can_be_read_in_both_themes(colour):
    values = re.findall("#[0-9a-f]{6}", both_themes(colour))
    for value, ground in zip((values[0], values[-1]), (LIGHT, DARK), strict=True):
        parts = tuple(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5))
        assert contrast(parts, ground) >= 4.45


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$x^2$", "<msup>"),
        (r"\(\frac{1}{2}\)", "<mfrac>"),
        (r"$$\begin{aligned}a&=b\\c&=d\end{aligned}$$", "<mtable"),
        (r"\begin{equation}E=mc^2\label{a}\end{equation}", "<msup>"),
        (r"$\text{если } x<0$", "если"),
        (r"$\displaystyle\sum_{i=0}^n i$", "<munderover>"),
    ],
)
def test_maths_is_mathml(text, expected):
    html = typeset(text)
    assert html.startswith("<math")
    assert expected in html
    check_written(cleaned(html)[0])


@pytest.mark.parametrize(
    "text", [r"$\frac{1$", r"$\nosuch{x}$", r"$\href{javascript:x}{y}$", "$}{$", r"$\def\a{\a}\a$",
             "$" + "{" * 3000 + "}" * 3000 + "$"]
)  # fmt: skip
def test_broken_maths_stays_as_text(text):
    html = typeset(text)
    assert "<math" not in html
    assert 'class="unread-tex"' in html


@pytest.mark.parametrize("text", ["$5 or $6", "US$5-$6", "a $ b", "100$", "x < y"])
def test_prices_are_no_maths(text):
    assert "<math" not in typeset(text)


def test_markdown_of_notebooks():
    html = markdown_html(
        "# My Title\n\n- [ ] open\n- [x] done\n\n| a |\n|--|\n| $x$ |\n\n~~old~~ \\$5 and \\$6\n\n"
        "$$\na\n\n+ b\n$$\n\n```python\nprint('a')\n```\n"
    )
    assert '<h1 id="My-Title">' in html
    assert "☐ open" in html
    assert "☑ done" in html
    assert html.count("<math") == 2
    assert '<span class="hl-nb">print</span>' in html


def test_a_prompt_is_prose_with_its_option_line():
    html = source_html("%%gptoss -e low\nDon't say {{ name }} <b>\n\nMore.", "ipython3")
    assert '%%gptoss <span class="gp-option">-e</span> low' in html
    assert 'Don\'t say <code class="gp-value">{{ name }}</code> &lt;b&gt;\n\nMore.' in html
    assert "gp-prompt" not in source_html("%%bash\nls", "ipython3")
    assert '<span class="hl-k">def</span>' in source_html("def f(): pass", "ipython3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10%\r50%\rdone\n", "done\n"),
        ("long line\rshort", "shortline"),
        ("abc\b\bXY", "aXY"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("\b\bx", "x"),
    ],
)
def test_a_terminal_writes_over_its_line(text, expected):
    assert overwritten(text) == expected


def test_colours_of_a_terminal():
    html = ansi_html(
        "\x1b[1;31mred\x1b[0m \x1b[38;5;21mblue\x1b[39m <\x1b]8;;http://x\x07l\x1b]8;;\x07",
        Sheets(),
    )
    assert html.startswith(
        '<span class="gp-bold gp-ink-red">red</span> <span class="s1">blue</span>'
    )
    assert html.endswith(" &lt;l")


ENDLESS = ["<!", "</", "<a ", "<a x='", "<!--", "<p>", "<ul>", "$x", "\\(", "\\[", "\\\\(", "{{",
           "\\begin{align}", "[", "`", "*a", "<b", "\x1b]", "\x1b[", "&#", "<style>", "<table>",
           "$", "\\", "url("]  # fmt: skip


@pytest.mark.parametrize("piece", ENDLESS)
def test_what_never_ends_takes_no_time(piece):
    """In quadratic time each of these would take minutes."""
    text = piece * 50_000
    check_written(cleaned(text)[0])
    assert "\x1b" not in ansi_html(text, Sheets())
