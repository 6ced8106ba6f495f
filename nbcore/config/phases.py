"""The table of phases: every fact about a phase that more than the phase itself must know stands here.

Adding a phase is its four files (notebook, module, configs, tests) and one entry here. No other module names a phase
(tests/test_house.py): it asks the table.
"""

from __future__ import annotations

from typing import NamedTuple

from nbcore.config.data import Data
from nbcore.config.evaluate import Evaluate
from nbcore.config.export import Export
from nbcore.config.grpo import Grpo
from nbcore.config.ipo import Ipo
from nbcore.config.lang_adapter import LangAdapter
from nbcore.config.pretrain import Pretrain
from nbcore.config.schema import Phase
from nbcore.config.sft import Sft


class Entry(NamedTuple):
    """One phase as others see it."""

    config: type[Phase]
    label: str
    """What tables and figures call it."""
    parent: str | None
    """Whose newest run it starts from when no parent is named; the base model where None."""
    leaves: str | None
    """The folder of weights that a finished run holds, if any."""
    knobs: dict[str, str]
    """What a person turns first: variable in the notebook's parameters cell -> path in the config."""
    length: str | None = None
    """Path in the config of the number that says how long a run is; None where a run cannot be cut short by one."""
    trains: bool = False
    """Whether it trains a model, and so is a link of the chain that a report follows."""
    from_scratch: bool = False
    """Whether its weights begin untrained, so that a run of it is a base model of its own."""
    makes_data: bool = False
    """Whether its runs hold records that a training run may read, and no model."""
    whole: bool = False
    """Whether the model that it leaves holds what its parents trained, so that no adapter belongs to it."""
    measures: bool = False
    """Whether it measures runs of other phases: a report takes its numbers from there."""
    yardstick: bool = False
    """Whether a report prints programs by what has changed since this phase, where its chain has one."""


TABLE: dict[str, Entry] = {  # in the order of the chain
    "data": Entry(
        Data,
        "data",
        parent=None,
        leaves="data",
        knobs={"sources": "sources", "copies": "copies", "mode": "mix.mode"},
        makes_data=True,
    ),
    "pretrain": Entry(
        Pretrain,
        "pretrain",
        parent=None,
        leaves="model",
        knobs={
            "max_steps": "max_steps",
            "learning_rate": "learning_rate",
            "batch_size": "batch_size",
            "data_run": "data_run",
        },
        length="max_steps",
        trains=True,
        from_scratch=True,
    ),
    "lang_adapter": Entry(
        LangAdapter,
        "adapter",
        parent=None,
        leaves="adapter",
        knobs={
            "max_steps": "max_steps",
            "learning_rate": "learning_rate",
            "lora_rank": "lora.rank",
            "data_run": "data_run",
        },
        length="max_steps",
        trains=True,
    ),
    "sft": Entry(
        Sft,
        "SFT",
        parent="lang_adapter",
        leaves="adapter",
        knobs={"max_steps": "max_steps", "learning_rate": "learning_rate", "rows": "rows", "data_run": "data_run"},
        length="max_steps",
        trains=True,
        yardstick=True,
    ),
    "ipo": Entry(
        Ipo,
        "IPO",
        parent="sft",
        leaves="adapter",
        knobs={"max_steps": "max_steps", "learning_rate": "learning_rate", "beta": "beta", "rollouts": "rollouts"},
        length="max_steps",
        trains=True,
    ),
    "grpo": Entry(
        Grpo,
        "GRPO",
        parent="ipo",
        leaves="adapter",
        knobs={
            "max_steps": "max_steps",
            "learning_rate": "learning_rate",
            "group_size": "group_size",
            "beta": "beta",
        },
        length="max_steps",
        trains=True,
    ),
    "evaluate": Entry(
        Evaluate,
        "evaluate",
        parent=None,
        leaves=None,
        knobs={"heldout": "heldout", "samples": "samples", "temperature": "generation.temperature"},
        length="heldout",
        measures=True,
    ),
    "export": Entry(
        Export,
        "export",
        parent="grpo",
        leaves="model",
        knobs={"dtype": "dtype", "gguf": "gguf", "form": "form"},
        whole=True,
    ),
}
PHASES: dict[str, type[Phase]] = {name: entry.config for name, entry in TABLE.items()}
