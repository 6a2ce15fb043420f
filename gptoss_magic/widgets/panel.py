"""The control panel: sliders and fields for plain values. It knows no model and no shell.

In the notebook stands static HTML, the settings as a table, and the live panel takes its place as
long as a kernel answers. So a notebook that is reopened without one has something to read, and
no widget's view is saved in it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from html import escape
from pathlib import Path
from secrets import token_hex
from threading import RLock
from typing import TYPE_CHECKING, Any

from gptoss_magic.vocabulary import EFFORTS
from gptoss_magic.widgets.styles import MUTED
from gptoss_magic.widgets.subshell import hear_while_busy
from gptoss_magic.widgets.tables import table_html, table_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.records.panels import PanelChoices, PanelState

STATIC = Path(__file__).parent / "static"
COUNTS = "Changes count from the next cell on; an answer that is running keeps its settings."
GONE = "The settings as they were. To change them, run the cell: %gptoss panel"


@dataclass(frozen=True)
class Field:
    """One control. `kind`: slider, number, choice, select, text, switch or adapters.

    `empty`: what an empty field stands for; without it the field must have a value. `choices` of a
    select come with each showing.
    """

    name: str
    label: str
    kind: str
    low: float | None = None
    high: float | None = None
    step: float = 1
    empty: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()


FIELDS = (
    Field("temperature", "Temperature", "slider", 0, 2, 0.05, "the model's", "0 is greedy"),
    Field("top_p", "Top-p", "slider", 0.01, 1, 0.01, help="share of likeliest tokens"),
    Field("top_k", "Top-k", "number", 0, help="0 keeps all tokens"),
    Field("max_tokens", "Max tokens", "number", 1, help="of an answer, at most"),
    Field("seed", "Seed", "number", 0, empty="drawn", help="empty: drawn and recorded"),
    Field("effort", "Reasoning effort", "choice", choices=EFFORTS),
    Field("persona", "Persona", "select", empty="none", help="its text, and its own conversations"),
    Field("rag", "Retrieval", "select", empty="off", help="answer from an index"),
    Field("routing", "Routing", "switch", help="record where each token goes"),
    Field("system", "System text", "text", empty="none", help="instructions before each prompt"),
    Field("adapters", "Adapters", "adapters", -2, 2, 0.05, "none attached"),
)


class ControlPanel:
    """`hear(content)` gets what the user does, from another thread while a cell runs."""

    def __init__(self, hear: Callable[[dict[str, Any]], None]) -> None:
        self._hear, self._lock = hear, RLock()
        self._static, self._identity = "", token_hex(8)
        self._handle: Any = None
        fields = [asdict(field) for field in FIELDS]
        setup = {"fields": fields, "counts": COUNTS, "identity": self._identity}
        self._widget: Any = _panel_class()(setup=setup)
        self._widget.on_msg(self._take)
        hear_while_busy(self._widget)

    def show(self, *, plain: bool = False) -> None:
        """Display it; once more: beside the other. `plain`: as any widget, with no static HTML."""
        from IPython.display import display

        if plain:
            display(self._widget)
            return
        data = self._bundle()
        self._static = data["text/html"]
        self._handle = display(data, raw=True, display_id=self._identity)

    def update(self, values: dict[str, Any], choices: PanelChoices, state: PanelState) -> None:
        """Show these: settings by name, what selects offer, and the model's state.

        `choices` has 'rag' and 'persona' (names), 'adapters' (scale by name) and 'presets' (names);
        `state` also 'says': settings by name that the persona in use says instead.
        """
        with self._lock, self._widget.hold_sync():
            self._widget.values, self._widget.choices = values, choices
            self._widget.state = state

    def say(self, note: str) -> None:
        """One line for the user, such as what was wrong; empty to take it away."""
        self._widget.send({"op": "note", "text": note})

    def settle(self) -> None:
        """Let what the notebook keeps be what is shown now."""
        with self._lock:
            data = self._bundle()
            if self._handle is not None and data["text/html"] != self._static:
                self._static = data["text/html"]
                self._handle.update(data, raw=True)

    def close(self) -> None:
        """Leave the static panel alone."""
        self.settle()
        self._widget.close()

    def _take(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A view's message; runs in the subshell's thread where there is one."""
        if isinstance(content, dict):
            self._hear(content)
            self._widget.send({"op": "heard"})

    def _bundle(self) -> dict[str, str]:
        values, choices = self._widget.values, self._widget.choices
        state = self._widget.state
        return {
            "text/html": panel_html(values, choices, state, self._identity),
            "text/plain": panel_text(values, choices, state),
        }


def panel_html(
    values: dict[str, Any], choices: PanelChoices, state: PanelState, identity: str = ""
) -> str:
    """The settings as a table under the model's state; the live panel `identity` hides it."""
    rows = setting_rows(values, choices, state)
    line = f'<div style="{MUTED}">{escape(state_line(state))}</div>'
    table = table_html(("setting", "value"), rows)
    foot = f'<div style="{MUTED}">{escape(GONE)}</div>'
    classes = f"gptoss-panel-host gptoss-panel-{escape(identity)}" if identity else ""
    return (
        f'<div class="{classes}"><div class="gptoss-panel-static">'
        f"<strong>gpt-oss control panel</strong>{line}{table}{foot}</div></div>"
    )


def panel_text(values: dict[str, Any], choices: PanelChoices, state: PanelState) -> str:
    """The same in columns of text."""
    table = table_text(("setting", "value"), setting_rows(values, choices, state))
    return f"{state_line(state)}\n{table}"


def setting_rows(
    values: dict[str, Any], choices: PanelChoices, state: PanelState
) -> list[tuple[str, str]]:
    """Label and value in words, setting by setting, with what the persona says instead."""
    words = {f.name: value_words(f, values.get(f.name), choices) for f in FIELDS}
    said = {name: f" (the persona: {value})" for name, value in (state.get("says") or {}).items()}
    return [(field.label, words[field.name] + said.get(field.name, "")) for field in FIELDS]


def value_words(field: Field, value: Any, choices: PanelChoices) -> str:
    """A value in words: `the model's`, `0.7`, `poet × 0.5`."""
    if field.kind == "switch":
        return "on" if value else "off"
    if field.kind == "adapters":
        attached = choices.get("adapters") or {}
        used = ", ".join(f"{name} × {scale:g}" for name, scale in (value or {}).items())
        return used or ("none in use" if attached else field.empty)
    if value is None or value == "":
        return field.empty
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def state_line(state: PanelState) -> str:
    """Model, memory, context used and speed in one line."""
    model = state.get("model")
    if not model:
        return "no model is loaded: %gptoss load"
    words = [
        model,
        state["device"],
        f"{state['memory'] / 1e9:.2f} GB of memory",
        f"context {state['used']:,} of {state['context']:,} tokens",
    ]
    speed = state["tokens_per_s"]
    return " · ".join([*words, f"last answer {speed:g} tokens/s"] if speed else words)


@cache
def _panel_class() -> type[Any]:
    import anywidget
    import traitlets

    class LivePanel(anywidget.AnyWidget):
        _esm = STATIC / "panel.js"
        _css = STATIC / "panel.css"
        setup = traitlets.Dict().tag(sync=True)
        values = traitlets.Dict().tag(sync=True)
        choices = traitlets.Dict().tag(sync=True)
        state = traitlets.Dict().tag(sync=True)

    return LivePanel
