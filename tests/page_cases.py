"""Notebooks for pages: their parts, and what a hostile output may hold."""

import base64
import zlib

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf"
    b"\xc0\0\0\3\1\1\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82"
).decode()
ANSWER = "application/vnd.gptoss.answer+json"


def markdown(source, **rest):
    return {"cell_type": "markdown", "metadata": {}, "source": source, **rest}


def code(source, *outputs, count=1, **metadata):
    return {
        "cell_type": "code",
        "metadata": metadata,
        "execution_count": count,
        "source": source,
        "outputs": list(outputs),
    }


def shown(data, metadata=None):
    return {"output_type": "display_data", "metadata": metadata or {}, "data": data}


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def notebook(*cells, **rest):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **rest}


def packed(ids):
    """Ids as a record has them."""
    planes = b"".join(bytes((i >> (8 * plane)) & 255 for i in ids) for plane in range(3))
    return f"{len(ids)}:{base64.b64encode(zlib.compress(planes)).decode()}"


def record(model="built-in", adapters=("sailor",)):
    generation = {"prompt": packed([1, 2, 300000]), "answer": packed([7, 8]), "finish": "return"}
    return {
        "model": model,
        "adapters": [{"name": name, "scale": 1.0} for name in adapters],
        "generations": [generation],
    }


def answer(kept=None, html="<p>Paris &amp; more</p>", **bundle):
    """An output as `%%gptoss` leaves it."""
    kept = kept or record()
    data = {"text/html": html, "text/plain": "Paris"}
    data[ANSWER] = {"version": 1, "final": "Paris", "record": kept, **bundle}
    return shown(data, {"gptoss_magic": kept})


HOSTILE = {
    "script": "<script>parent.hit = 1</script>",
    "handler": "<img src=x onerror='hit = 1'>",
    "svg handler": "<svg onload='hit = 1'><script>hit = 1</script><circle r=5 /></svg>",
    "animation": "<svg><a><animate attributeName=href values=javascript:hit=1 /></a></svg>",
    "link": "<a href='javascript:hit=1'>go</a> <a href=' java\tscript:hit=1'>go</a>",
    "data link": "<a href='data:text/html,<script>hit=1</script>'>go</a>",
    "frame": "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "object": "<object data='evil.swf'>fallback</object><embed src=evil.swf>",
    "redirection": "<meta http-equiv=refresh content='0;url=http://evil.test/'>",
    "base": "<base href='http://evil.test/'><a href=x>x</a>",
    "sheet": "<link rel=stylesheet href='http://evil.test/a.css'>",
    "import": "<style>@import 'http://evil.test/a.css'; p { color: red }</style><p>x</p>",
    "form": "<form action='http://evil.test'><input name=a><button>Send</button></form>",
    "style url": "<p style='background: url(http://evil.test/p.png)'>x</p>",
    "over all": "<p style='position: fixed; inset: 0; background: red'>over all</p>",
    "page style": "<style>body, main { display: none } a & b { color: red }</style><p>x</p>",
    "sheet that ends": "<style>p { color: red }</style ><script>hit=1</script><p>x</p>",
    "family": "<p style=\"font-family: 'x</style><script>hit=1</script>'\">x</p>",
    "mathml": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 "
    "onerror=hit=1&gt;'>",
    "svg style": "<svg></p><style><a id='</style><img src=1 onerror=hit=1>'></style></svg>",
    "noscript": "<noscript><p title='</noscript><img src=x onerror=hit=1>'>x</noscript>",
    "title": "<title><a title='</title><img src=x onerror=hit=1>'></title>",
    "breaks out": "</div></div></main></body></html><h1>Broken out</h1><main>x</main>",
    "comment": "<!-- <img src=x onerror=hit=1> --><!--><img src=x onerror=hit=1>-->",
    "foreign": "<svg><foreignObject><body><img src=x onerror=hit=1></body></foreignObject></svg>",
    "use": "<svg><use href='http://evil.test/#a' /><image href='http://evil.test/i.png' /></svg>",
    "sources": "<video src='http://evil.test/v' poster='http://evil.test/p'></video>"
    "<picture><source srcset='http://evil.test/s'><img srcset='http://evil.test/t 2x'></picture>",
    "ping": "<a href='https://x.test' ping='http://evil.test/' target=_top>x</a>",
    "quotes": "<p title='\"><img src=x onerror=hit=1>' id='\"><script>hit=1</script>'>x</p>",
    "unclosed": "<table><tr><td><b>x<ul><li>y<a href='https://x.test'><a href=z",
    "template": "<template><script>hit=1</script></template><template shadowrootmode=open>x",
    "faked": "<p class='gp-left'>Left out here: nothing</p><script id=gptoss-notebook>{}</script>",
    "plaintext": "<plaintext><script>hit=1</script>",
    "utf7": "+ADw-script+AD4-hit=1+ADw-/script+AD4-",
    "nul": "<scr\0ipt>hit=1</scr\0ipt><img\0 src=x onerror=hit=1>",
}
