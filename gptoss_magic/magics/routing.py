"""`%gptoss routing`: which experts data uses, and how two routings differ; how results look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.session import current
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from gptoss_magic.routing.compare import RoutingComparison
    from gptoss_magic.routing.scores import Scores

MANY, MAX_TOKENS = 64, 256
PARSER = opt.parser(
    "%gptoss routing",
    opt.ROUTING,
    "Which experts a text or data set uses.",
    [
        "%gptoss routing rows.jsonl -o scores",
        "%gptoss routing 'Name a colour.' -m 40",
        "%gptoss routing compare rows.jsonl other.jsonl --by reap",
    ],
)


def run(line: str, magics: Any) -> None:
    """Run the command: show Scores, or with `compare` a RoutingComparison, and put it into -o."""
    from IPython.display import display

    names: dict[str, Any] = magics.shell.user_ns

    options = opt.parse(PARSER, line)
    for name in ("effort", "system", "date"):
        setattr(options, name, getattr(options, name) or getattr(magics, name))
    compares = options.data[0] == "compare"
    check(options, compares)
    if compares:
        result: Any = _compared(options, magics)
    else:
        result = _scored(options, options.data, magics)
    if options.output:
        names[options.output] = result
    display(result)


def check(options: Namespace, compares: bool) -> None:  # noqa: FBT001 (one caller)
    """Raise InputError for options that mean nothing beside the others."""
    if options.by and not compares:
        raise InputError("--by means something behind compare only")
    if options.prompts_only and options.max_tokens is not None:
        raise InputError("--prompts-only: nothing is answered; leave --max-tokens out")


def words(_typed: list[str]) -> list[str]:
    return [*opt.flags(opt.ROUTING), "compare"]


def _compared(options: Namespace, magics: Any) -> RoutingComparison:
    from gptoss_magic.studies.routing import compare_routing

    if len(options.data) != 3:
        raise InputError("routing compare: give two of them: names, files or quoted texts")
    a, b = (_scored(options, [word], magics) for word in options.data[1:])
    return compare_routing(a, b, by=options.by or "share")


def _scored(options: Namespace, words: list[str], magics: Any) -> Scores:
    from gptoss_magic.routing.scores import Scores
    from gptoss_magic.studies.routing import read, score_routing
    from gptoss_magic.widgets.progress import ProgressView

    values = [_named(word, magics.shell.user_ns) for word in words]
    if len(values) == 1 and isinstance(values[0], Scores):
        return values[0]
    items = [item for value in values for item in read(value)]
    current().adapters(options.adapter)
    magics.load_default()
    title = " ".join(words) + "".join(f" ({name})" for name in options.adapter or ())
    with ProgressView(f"routing of {title}", lambda done, total: f"{done} of {total}") as bar:
        return score_routing(
            items,
            prompts_only=options.prompts_only,
            max_tokens=MAX_TOKENS if options.max_tokens is None else options.max_tokens,
            effort=options.effort,
            system=options.system,
            date=options.date,
            adapters=options.adapter,
            title=title,
            progress=bar.update,
        )


def _named(word: str, names: dict[str, Any]) -> Any:
    """A name of the notebook, else a file, else a text of several words."""
    if word in names:
        return names[word]
    if Path(word).expanduser().is_file():
        return Path(word).expanduser()
    if " " in word.strip():
        return word
    raise InputError(f"routing {word}: no such name, and no such file; quote a text of your own")


def scores_html(scores: Scores) -> str:
    """Summary, the map of all tokens, and one map a channel."""
    from gptoss_magic.widgets.heatmap import folded, heat_map_html, table_html

    maps = [heat_map_html(_panel(scores, channel)) for channel in scores.share]
    rest = "".join(maps[1:])
    parts = [
        f"<div>{_head(scores)}</div>",
        folded("By channel in numbers", table_html(*_summary(scores)), is_open=True),
        maps[0],
        folded("A map of each channel", rest) if rest else "",
    ]
    return f'<div class="gptoss-routing">{"".join(parts)}</div>'


def _panel(scores: Scores, channel: str) -> Any:
    from gptoss_magic.widgets.heatmap import Panel

    share = scores.share[channel]
    return Panel(
        title=f"{channel} ({scores.tokens[channel]:,} tokens)",
        values=share.tolist(),
        hovers=_hovers(scores, channel),
        notes=_notes(scores, channel),
        top=float(share.max()),
        floor=_floor(scores.shape[1], channel, least=0),
    )


def _floor(num_experts: int, channel: str, least: int) -> float:
    """What a cell must have to be drawn where experts are many, so that a page stays small.

    In even shares: `least` of all tokens, three of one channel.
    """
    if num_experts < MANY:
        return 0.0
    return (least if channel == "all" else 3) / num_experts


def _hovers(scores: Scores, channel: str) -> list[list[str]]:
    share = scores.share[channel]
    texts = [[f"{100 * value:.1f}%" for value in row] for row in share]
    measures = {"gate": scores.gate.get(channel), "REAP": scores.reap.get(channel)}
    if scores.shape[1] >= MANY:
        measures = {}
    for name, array in measures.items():
        for row, values in zip(texts, array if array is not None else (), strict=False):
            row[:] = [f"{t} {name} {100 * v:.1f}%" for t, v in zip(row, values, strict=True)]
    if scores.baseline is not None:
        for row, values in zip(texts, scores.lift(channel), strict=True):
            row[:] = [f"{t} ×{v:.1f}" if v < 1e3 else t for t, v in zip(row, values, strict=True)]
    return texts


def _notes(scores: Scores, channel: str) -> list[str]:
    """The three hottest experts of each layer."""
    order = (-scores.share[channel]).argsort(1, kind="stable")[:, :3]
    return ["hot " + " ".join(map(str, row)) for row in order.tolist()]


def _head(scores: Scores) -> str:
    from html import escape

    num_layers, num_experts = scores.shape
    words = [f"Routing of {scores.about.get('title', '')}", str(scores.about.get("model", ""))]
    words += [
        counted(scores.num_samples, "text"),
        f"{counted(num_layers, 'layer')} × {counted(num_experts, 'expert')}",
    ]
    words += [f"{scores.top_k} a token"]
    return escape(" · ".join(filter(None, words)))


def _summary(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """(head, rows): a row for each channel, means over layers."""
    import math

    top = max(1, scores.shape[1] // 8)
    rows = [
        [
            channel,
            f"{scores.tokens[channel]:,}",
            f"{scores.entropy(channel).mean():.2f} of {math.log(scores.shape[1]):.2f}",
            str(sum(map(len, scores.dead(channel)))),
            f"{100 * scores.coverage(top, channel).mean():.1f} %",
            f"{sum(map(len, scores.hot(0.5, channel=channel)))} of {scores.share[channel].size}",
        ]
        for channel in scores.share
    ]
    head = ["channel", "tokens", "entropy (nats)", "unused experts", f"routes of the top {top}"]
    return [*head, "experts for half of the routes"], rows


def scores_text(scores: Scores, printer: Any, _cycle: Callable[..., Any]) -> None:
    """The summary as text, through IPython's pretty printer."""
    from gptoss_magic.widgets.heatmap import table_text

    printer.text(f"{_head(scores)}\n{table_text(*_summary(scores))}")


def comparison_html(comparison: RoutingComparison) -> str:
    """The map of differences and what differs most."""
    from gptoss_magic.widgets.heatmap import Panel, folded, heat_map_html, table_html

    maps = []
    for channel in comparison.channels:
        values = comparison.difference(channel)
        sides = zip(
            comparison.a.measure(comparison.by, channel),
            comparison.b.measure(comparison.by, channel),
            strict=True,
        )
        panel = Panel(
            title=f"{channel}: {_distance(comparison, channel)}",
            values=values.tolist(),
            hovers=[
                [f"{100 * p:.1f}% → {100 * q:.1f}%" for p, q in zip(*rows, strict=True)]
                for rows in sides
            ],
            notes=[f"distance {value:.2f}" for value in comparison.distance(channel)],
            top=float(abs(values).max()) or 1.0,
            unit=f"difference of {comparison.by}",
            floor=_floor(values.shape[1], channel, least=1),
        )
        maps.append(heat_map_html(panel))
    rest = folded("A map of each channel", "".join(maps[1:])) if maps[1:] else ""
    table = folded("What differs most", table_html(*_most(comparison)))
    return (
        f'<div class="gptoss-routing"><div>{_sides(comparison)}</div>{maps[0]}{rest}{table}</div>'
    )


def _distance(comparison: RoutingComparison, channel: str) -> str:
    values = comparison.distance(channel)
    return (
        f"Jensen-Shannon distance {values.mean():.3f} (mean; {values.min():.2f}–{values.max():.2f})"
    )


def _sides(comparison: RoutingComparison) -> str:
    from html import escape

    a, b = (s.about.get("title") or "?" for s in (comparison.a, comparison.b))
    return escape(f"Routing: {a} (red: more) against {b} (blue: more)")


def _most(comparison: RoutingComparison) -> tuple[list[str], list[list[str]]]:
    rows = [
        [f"{layer}:{expert}", f"{100 * p:.1f} %", f"{100 * q:.1f} %", f"{100 * (q - p):+.1f}"]
        for layer, expert, p, q in comparison.top()
    ]
    return ["layer:expert", "a", "b", "difference (points)"], rows


def comparison_text(
    comparison: RoutingComparison, printer: Any, _cycle: Callable[..., Any]
) -> None:
    """Distances and what differs most as text, through IPython's pretty printer."""
    from gptoss_magic.widgets.heatmap import table_text

    lines = [f"{channel}: {_distance(comparison, channel)}" for channel in comparison.channels]
    table = table_text(*_most(comparison))
    printer.text("\n".join([_sides(comparison), *lines, table]))
