"""`%gptoss panel`: the control panel bound to the defaults of `%%gptoss`, and presets of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import GptOssError, InputError
from gptoss_magic.magics import defaults, presets
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.checks import said_in
from gptoss_magic.magics.state import model_state
from gptoss_magic.session import current
from gptoss_magic.turns.stopping import WORK

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from gptoss_magic.records.panels import PanelChoices, PanelState

PANEL: list[opt.Option] = [
    (("-s", "--save"), {"metavar": "NAME", "help": "keep the settings as a preset"}),
    (("-l", "--load"), {"metavar": "NAME", "help": "use a preset's settings"}),
    (("-d", "--delete"), {"metavar": "NAME", "help": "forget a preset"}),
    (("-f", "--force"), {"action": "store_true", "help": "save: write over one of that name"}),
    (("-L", "--list"), {"action": "store_true", "help": "the presets"}),
    (
        ("-w", "--widget"),
        {"action": "store_true", "help": "a plain widget, where the front end shows a table only"},
    ),
]
PARSER = opt.parser(
    "%gptoss panel",
    PANEL,
    "Sliders for the defaults of %%gptoss; presets.",
    ["%gptoss panel", "%gptoss panel --save warm", "%gptoss panel --load warm"],
)
PRESET_OPTIONS = ("-l", "--load", "-d", "--delete", "-s", "--save")


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss panel`; without an option it shows the panel."""
    given = opt.parse(PARSER, line)
    said = sorted(said_in(given) - {"force"})
    if given.force and said != ["save"]:
        raise InputError("%gptoss panel: --force means something beside --save only")
    if len(said) > 1:
        raise InputError(f"%gptoss panel: give one of {' and '.join(f'--{name}' for name in said)}")
    if given.list or given.save or given.load or given.delete:
        return preset(given, magics)
    show(magics, plain=given.widget)


def words(typed: list[str]) -> list[str]:
    """Options; behind one that takes a preset's name, the names."""
    if len(typed) > 1 and typed[-2] in PRESET_OPTIONS:
        return presets.names()
    return opt.flags(PANEL)


def preset(given: Namespace, magics: Any) -> None:
    """Save, load, delete or list presets."""
    if given.save:
        file = presets.save(given.save, defaults.values(magics), may_replace=given.force)
        print(f"preset {given.save} saved: {file}")
    if given.load:
        wrong = defaults.put_all(magics, presets.load(given.load))
        print("\n".join([f"preset {given.load} is in use", *(f"but {line}" for line in wrong)]))
    if given.delete:
        presets.delete(given.delete)
        print(f"preset {given.delete} deleted")
    if given.list:
        print("\n".join(presets.names()) or "no preset yet: %gptoss panel --save NAME")


def show(magics: Any, *, plain: bool = False) -> None:
    """The panel in a kernel, a table of the settings in a terminal."""
    from gptoss_magic.widgets.panel import panel_text
    from gptoss_magic.widgets.transcript import in_kernel

    if not in_kernel():
        print(panel_text(defaults.values(magics), choices(), shown_state()))
        return
    bound = magics.panel if isinstance(magics.panel, Bound) else Bound(magics)
    magics.panel = bound
    bound.refresh()
    bound.panel.show(plain=plain)


class Bound:
    """A panel and the traits of `magics`: each follows the other."""

    def __init__(self, magics: Any) -> None:
        from gptoss_magic.widgets.panel import ControlPanel

        self.magics = magics
        self.panel, self.heard = ControlPanel(self.hear), False
        self.warned_of = ""  # the preset that a second press on Save writes over
        magics.observe(self._follow, names=list(defaults.TRAITS))
        WORK.listeners.append(self.refresh_and_settle)

    def unbind(self) -> None:
        """Follow nothing any more."""
        self.magics.unobserve(self._follow, names=list(defaults.TRAITS))
        WORK.listeners[:] = [told for told in WORK.listeners if told != self.refresh_and_settle]

    def _follow(self, _change: Any) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Show what holds now."""
        self.panel.update(defaults.values(self.magics), choices(), shown_state())

    def refresh_and_settle(self) -> None:
        """The same; work began or ended. A page says itself when it is a good time to settle."""
        self.refresh()
        if not WORK.name and not self.heard:
            self.panel.settle()

    def hear(self, content: dict[str, Any]) -> None:
        """Do what a control says. What is wrong is said in the panel, and nothing changes."""
        actions: dict[str, Callable[[dict[str, Any]], str | None]] = {
            "set": self._set,
            "save": self._save,
            "load": self._load,
            "delete": self._delete,
            "stop": self._stop,
            "settled": self._settle,
        }
        self.heard = True
        action = actions.get(str(content.get("op")))
        try:
            note = action(content) if action else None
        except GptOssError as error:
            note = str(error)
        self.refresh()
        if note is not None:
            self.panel.say(note)

    def _set(self, content: dict[str, Any]) -> str:
        defaults.put(self.magics, str(content.get("name")), content.get("value"))
        return ""

    def _stop(self, _content: dict[str, Any]) -> str:
        return "" if WORK.stop() else "Nothing is running."

    def _settle(self, _content: dict[str, Any]) -> None:
        self.panel.settle()

    def _save(self, content: dict[str, Any]) -> str:
        name, settings = str(content.get("name", "")).strip(), defaults.values(self.magics)
        is_sure, self.warned_of = name == self.warned_of, ""
        if not is_sure and presets.is_taken(name, settings):
            self.warned_of = name
            return f"There is a preset {name} of other settings: Save again writes over it."
        presets.save(name, settings, may_replace=is_sure)
        return f"Preset {name} saved."

    def _load(self, content: dict[str, Any]) -> str:
        name = str(content.get("name", ""))
        wrong = defaults.put_all(self.magics, presets.load(name))
        return "; but ".join([f"Preset {name} is in use", *wrong]) + ("" if wrong else ".")

    def _delete(self, content: dict[str, Any]) -> str:
        name = str(content.get("name", ""))
        presets.delete(name)
        return f"Preset {name} deleted."


def shown_state() -> PanelState:
    """The model's state, and `says`: settings of the persona in use, which win over these."""
    from gptoss_magic.agents.layers import overlay

    voice = overlay(current().layers())
    says = voice.settings
    if voice.instructions:
        says["system"] = "its own text"
    if voice.adapters is not None:
        says["adapters"] = " + ".join(voice.adapters) or "none"
    return {**model_state(), "says": says}


def unbind(magics: Any) -> None:
    """Let the panel of `magics`, where there is one, follow nothing any more."""
    if isinstance(magics.panel, Bound):
        magics.panel.unbind()
        magics.panel = None


def choices() -> PanelChoices:
    """What the selects offer."""
    from gptoss_magic.retrieval.store import names_at_home

    return {
        "rag": names_at_home(),
        "persona": sorted(current().personas),
        "adapters": defaults.all_scales(),
        "presets": presets.names(),
    }
