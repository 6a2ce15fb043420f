"""Score the built-in model on held-out cases: python -m tools.stand_in.evaluate [--every K].

`--following` takes the cases of instructions instead: sources, voices, results, memory. `--mixture`
tries other experts than the shipped ones.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.turns.many import answer_all
from gptoss_magic.turns.prompt import rendered
from gptoss_magic.turns.settle import settle
from tools.stand_in import following, loaded
from tools.stand_in.cases import EFFORTS, Case, held_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Answer


def well_formed(answer: Answer) -> bool:
    """Analysis first, then a `final` that returns or a commentary call that calls."""
    first, last = answer.messages[0], answer.messages[-1]
    if len(answer.messages) < 2 or first.channel != "analysis":
        return False
    if answer.finish == "return":
        return last.channel == "final" and bool(last.content)
    calls = answer.finish == "call" and last.channel == "commentary"
    return calls and (last.recipient or "").startswith("functions.")


def correct(case: Case, answer: Answer) -> bool | None:
    """None where the case has no single right answer."""
    if case.call is not None:
        made = [(call.name, call.arguments) for call in answer.tool_calls]
        return made == [case.call]
    if case.wanted is None:
        return None
    if case.kind == "arithmetic":
        return case.wanted in re.findall(r"\d+", answer.final)
    return all(text.lower() in answer.final.lower() for text in (case.wanted, *case.also))


def evaluate(cases: Sequence[Case]) -> dict[str, Any]:
    """Shares and counts over `cases`, answered greedily by the resident model."""
    plain = settle(temperature=0.0, max_tokens=160)
    asked = [replace(plain, prompt_ids=tuple(rendered(case.prompt()))) for case in cases]
    kinds: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    words: dict[str, list[int]] = {effort: [] for effort in EFFORTS}
    for case, answer in zip(cases, answer_all(asked), strict=True):
        right, row = correct(case, answer), kinds[case.kind]
        for place, value in enumerate((True, well_formed(answer), right is not None, bool(right))):
            row[place] += value
        words[case.effort].append(len(answer.analysis.split()))
    num, formed, scored, good = map(sum, zip(*kinds.values(), strict=True))
    return {
        "cases": num,
        "well_formed": formed,
        "scored": scored,
        "correct": good,
        "kinds": dict(kinds),
        "analysis_words": {e: round(sum(w) / max(1, len(w)), 1) for e, w in words.items()},
    }


def main() -> int:
    """Print one JSON line; 1 where fewer than 95 % are well-formed."""
    parser = argparse.ArgumentParser(prog="tools.stand_in.evaluate")
    parser.add_argument("--every", type=int, default=1, help="take every k-th case")
    parser.add_argument("--following", action="store_true", help="the cases of instructions")
    loaded.add_option(parser)
    given = parser.parse_args()
    loaded.load(given.mixture)
    cases = following.held_out() if given.following else held_out()
    scores = evaluate(cases[:: given.every])
    print(json.dumps(scores))
    return 0 if scores["well_formed"] >= 0.95 * scores["cases"] else 1


if __name__ == "__main__":
    sys.exit(main())
