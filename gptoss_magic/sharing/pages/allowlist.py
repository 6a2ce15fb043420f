"""What HTML of others may consist of on a page, and what an element becomes there."""

from __future__ import annotations

HTML = {
    *("a", "abbr", "address", "article", "aside", "b", "bdi", "bdo", "blockquote", "br", "caption"),
    *("cite", "code", "col", "colgroup", "dd", "del", "details", "dfn", "div", "dl", "dt", "em"),
    *("figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "i"),
    *("img", "input", "ins", "kbd", "label", "li", "main", "mark", "meter", "nav", "ol", "p"),
    *("pre", "progress", "q", "rp", "rt", "ruby", "s", "samp", "section", "small", "span"),
    *("strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "time"),
    *("tr", "u", "ul", "var", "wbr", "audio", "video", "source"),
}
SVG = {
    *("svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text"),
    *("tspan", "textpath", "defs", "lineargradient", "radialgradient", "stop", "clippath", "mask"),
    *("pattern", "marker", "symbol", "use", "title", "desc", "image"),
}
MATHML = {
    *("math", "mi", "mn", "mo", "ms", "mtext", "mspace", "mrow", "mfrac", "msqrt", "mroot"),
    *("mstyle", "merror", "mpadded", "mphantom", "msub", "msup", "msubsup", "munder", "mover"),
    *("munderover", "mmultiscripts", "mprescripts", "mtable", "mtr", "mtd", "menclose"),
}
ALLOWED = HTML | SVG | MATHML
# page furniture is the page's own: these would be landmarks beside it, or do not exist any more
BECOMES = {
    **dict.fromkeys(("main", "nav", "header", "footer", "aside", "section", "article"), "div"),
    "center": "div",
    "font": "span",
    "tt": "code",
    "strike": "s",
    "big": "span",
    "xmp": "pre",
    "listing": "pre",
    "plaintext": "pre",
    "acronym": "abbr",
    "image": "img",
}
VOID = {"br", "col", "hr", "img", "input", "source", "wbr", "meta", "link", "base", "embed"}
VOID |= {"area", "param", "track", "frame", "basefont", "bgsound", "keygen", "command"}
# left out with all that is in them; those of RAW in markup.py have their text with them
SILENT = {"template", "select", "datalist", "animate", "animatetransform", "animatemotion", "set"}
NAMED = {  # how what is left out is called
    "script": "script",
    "iframe": "frame",
    "frame": "frame",
    "object": "embedded object",
    "embed": "embedded object",
    "applet": "embedded object",
    "base": "base address",
    "select": "form field",
    "textarea": "form field",
    "input": "form field",
    "button": "button",
    "form": "form",
    "canvas": "canvas",
    "portal": "frame",
    "animate": "animation",
    "animatetransform": "animation",
    "animatemotion": "animation",
    "set": "animation",
    "foreignobject": "foreign object",
    "template": "template",
    "marquee": "marquee",
    "map": "image map",
    "dialog": "dialog",
    "noembed": "fallback text",
    "noframes": "fallback text",
}
BLOCKS = {  # their start ends a paragraph
    *("address", "blockquote", "details", "div", "dl", "figure", "h1", "h2", "h3", "h4", "h5"),
    *("h6", "hr", "ol", "p", "pre", "table", "ul", "figcaption", "li", "dt", "dd"),
}
ATTRIBUTES = {
    *("id", "class", "title", "dir", "width", "height", "align", "valign", "colspan", "rowspan"),
    *("span", "scope", "start", "reversed", "value", "type", "open", "href", "src", "alt"),
    *("datetime", "border", "cellpadding", "cellspacing", "nowrap", "hidden", "controls", "loop"),
    *("muted", "checked", "disabled", "for", "abbr", "name", "max", "min", "role", "aria-label"),
}
SVG_ATTRIBUTES = {
    *("viewbox", "preserveaspectratio", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx"),
    *("ry", "d", "points", "dx", "dy", "fx", "fy", "offset", "transform", "pathlength"),
    *("gradientunits", "gradienttransform", "spreadmethod", "patternunits", "patterntransform"),
    *("patterncontentunits", "clippathunits", "maskunits", "markerunits", "markerwidth"),
    *("markerheight", "orient", "refx", "refy", "textlength", "lengthadjust", "startoffset"),
    *("fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity"),
    *("stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "opacity"),
    *("stroke-miterlimit", "stop-color", "stop-opacity", "clip-path", "clip-rule", "mask"),
    *("marker-start", "marker-mid", "marker-end", "font-family", "font-size", "font-style"),
    *("font-weight", "text-anchor", "dominant-baseline", "alignment-baseline", "letter-spacing"),
    *("visibility", "display", "vector-effect", "shape-rendering", "color", "rotate"),
    *("baseline-shift", "paint-order", "xlink:href"),
}
MATH_ATTRIBUTES = {
    *("display", "displaystyle", "scriptlevel", "stretchy", "fence", "form", "accent", "lspace"),
    *("rspace", "depth", "voffset", "linethickness", "columnalign", "rowalign", "columnspacing"),
    *("rowspacing", "columnlines", "rowlines", "columnspan", "mathvariant", "mathcolor"),
    *("separator", "largeop", "movablelimits", "symmetric", "minsize", "maxsize", "notation"),
    *("linebreak", "accentunder", "alttext", "side"),
}
