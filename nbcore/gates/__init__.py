"""Gates: whether the next phase may start from a run, kept as a record that nobody can change unnoticed.

load(FILE) -> Gate                               # configs/gates/<phase>.yaml; refuses what its tasks cannot resolve
judge(run, gate) -> Decision                     # PASS, FAIL, INVESTIGATE or RUBBER_STAMP, and why
decide(run, gate, waive=None)                    # the same, kept as a blessing
require_blessed(run) -> record                   # ValueError where the next phase may not start from it
verify_chain(run) -> list[Link]                  # every link to the base
shown(run) -> Html                               # the decision in force, as a notebook shows it
"""

from nbcore.gates.blessings import (
    ALIASES,
    aliased,
    aliases,
    current,
    opens,
    release,
    require_blessed,
    rollback,
    waivers,
    was_withdrawn,
)
from nbcore.gates.chain import Link, broken, verify_chain
from nbcore.gates.checks import FAIL, INVESTIGATE, PASS, RUBBER_STAMP
from nbcore.gates.fetching import fetch
from nbcore.gates.gate_file import Gate, load, of_phase
from nbcore.gates.judging import Decision, decide, judge
from nbcore.gates.shown import shown

__all__ = [
    "ALIASES",
    "FAIL",
    "INVESTIGATE",
    "PASS",
    "RUBBER_STAMP",
    "Decision",
    "Gate",
    "Link",
    "aliased",
    "aliases",
    "broken",
    "current",
    "decide",
    "fetch",
    "judge",
    "load",
    "of_phase",
    "opens",
    "release",
    "require_blessed",
    "rollback",
    "shown",
    "verify_chain",
    "waivers",
    "was_withdrawn",
]
