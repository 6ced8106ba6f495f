"""Four steps of every phase on the seedling: what the phase tests and the golden losses are made of."""

import json

import pytest

from nbcore import config as configs
from nbcore.data import sources
from nbcore.phases import ipo
from nbcore.tasks import katas

SHORT = {
    "pretrain": {"max_steps": 4, "batch_size": 4, "corpus.sources": {"katas": 16}, "validation_documents": 4},
    "lang_adapter": {"max_steps": 4, "batch_size": 4, "corpus.sources": {"katas": 16}, "validation_documents": 4},
    "sft": {"max_steps": 4, "batch_size": 4, "limit": 48},
    "ipo": {"max_steps": 4, "batch_size": 4},
    "grpo": {"max_steps": 4, "batch_size": 8, "group_size": 4, "tasks.limit": 8, "generation.max_new_tokens": 48},
    "evaluate": {"heldout": 6, "unseen": 2, "perplexity_documents": 6, "generation.max_new_tokens": 48},
}

AGENT = {  # over short("grpo"): whole repairs by the seedling's second stage, which calls tools from the first step on
    "name": "agent",
    "model.base": "nbcore/assets/seedling_calls",
    "episodes.tools": ["read_file", "write_file", "cargo_test"],
    **{"episodes.brief": True, "episodes.steps": 3, "episodes.tokens": 256, "episodes.length": 640},
    **{"episodes.faults": 4, "tasks.limit": 6, "batch_size": 8, "group_size": 4, "generation.max_new_tokens": 96},
}


def short(phase, **more):
    """The shipped tiny config, cut to four steps."""
    return configs.load(
        f"configs/{phase}/tiny.yaml", SHORT[phase], {"save_steps": 2} if phase != "evaluate" else {}, more
    )


def walk(phase, run):
    """One phase from its data to its commit."""
    phase.train(run)
    return phase.finish(run)


def write_pairs(run, train=None):
    """Pairs as rollouts would give them: the reference passes, a program that returns the default does not.

    Of 60 tasks; or so many that train, and two that validate.
    """
    tasks = katas.load("train", demonstrated=True)
    validation = [task for task in tasks if sources.in_share(task["id"], 0.1)]
    chosen = tasks[:60] if train is None else [task for task in tasks if task not in validation][:train]
    pairs = []
    for task in chosen + (validation[:2] if train else []):
        wrong = task["signature"] + "\n    Default::default()\n}"
        pair = {"id": task["id"], "prompt": task["prompt"], "chosen": katas.code(task), "rejected": wrong}
        pairs.append(json.dumps(pair))
    (run.path / ipo.PAIRS).write_text("\n".join(pairs) + "\n")


def losses(run):
    return [row["loss"] for row in run.metrics() if "loss" in row]


def same_losses(run, golden, name=None):
    """Four steps on this machine against the recorded ones; other processors round differently, hence the tolerance."""
    name = name or run.phase
    assert losses(run) == pytest.approx(golden[name], rel=2e-3, abs=1e-5), (
        f"the first four losses of {name} changed; if that is meant, say why in the commit and "
        "record them anew with `python tests/phases/record_golden.py`"
    )
