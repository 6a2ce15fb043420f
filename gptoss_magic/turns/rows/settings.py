"""How a map's rows are asked, and the journal of such a question."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.session import current
from gptoss_magic.vocabulary import BATCH

if TYPE_CHECKING:
    from gptoss_magic.records import Request


@dataclass(frozen=True)
class MapSettings:
    """`request`: what each row is asked, its prompt apart. `num_rows` at most at a time.

    A row's seed is the sampling's seed plus the row's number. `journal`: a folder, or None for one
    of the user's data directory by the question. A request that `is_new` forgets what the journal
    has of these rows. `pinned_date`: the user's; a map may go on another day where there is none.
    """

    request: Request
    num_rows: int = BATCH
    journal: Path | None = None
    pinned_date: str | None = None

    @property
    def greedy(self) -> bool:
        """True where no seed is used."""
        return self.request.sampling.temperature == 0

    def key(self, *parts: Any) -> str:
        """A digest of the model, the settings and `parts`; the seed counts where it is used."""
        request, shelf = self.request, current().shelf
        whole = request.sampling.record().items()
        sampler = {name: value for name, value in whole if name not in ("seed", "lookup")}
        scope: dict[str, Any] = {
            **current().require().identity,
            "system": request.voice.instructions or None,
            "effort": request.effort,
            "date": self.pinned_date,
        }
        if remote := current().remote:
            scope["server"] = remote.url
        if request.voice.terms:  # quoted in the rows that name them
            scope["terms"] = request.voice.sha256
        if request.adapters:
            records = shelf.records(request.adapters)
            scope["adapters"] = [(record["uid"], record["scale"]) for record in records]
        schema = {"guided": request.schema.schema} if request.schema else None
        text = json.dumps([scope, sampler, schema, *parts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def default_journal(settings: MapSettings, template: str) -> Path:
    """One folder per question: model, settings and template."""
    return maps_folder() / settings.key(template)[:16]


def maps_folder() -> Path:
    """Where maps keep their journals, where nothing else is said."""
    from platformdirs import user_data_path

    return user_data_path("gptoss_magic") / "maps"
