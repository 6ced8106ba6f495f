# ruff: noqa: E402 - the path must be set before the imports
"""Record the first four losses of every phase into golden.json: `python tests/phases/record_golden.py`."""

import json
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [".", "tests"]

from nbcore import runs
from nbcore.phases import grpo, ipo, lang_adapter, pretrain, sft
from tests.phases.short_runs import AGENT, losses, short, walk, write_pairs

found = {}
with tempfile.TemporaryDirectory() as store:
    for phase, module, parent in (
        ("pretrain", pretrain, None),
        ("lang_adapter", lang_adapter, None),
        ("sft", sft, "lang_adapter"),
        ("ipo", ipo, "sft"),
        ("grpo", grpo, "sft"),
    ):
        run = runs.open(short(phase), store, parent)
        if phase == "ipo":
            write_pairs(run)
        walk(module, run)
        found[phase] = losses(run)
    agent = runs.open(short("grpo", **AGENT), store, "base")
    walk(grpo, agent)
    found["grpo_agent"] = losses(agent)
Path("tests/phases/golden.json").write_text(json.dumps(found, indent=1) + "\n")
