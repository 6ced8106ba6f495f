"""The table of phases: every fact about a phase that more than the phase itself must know stands here.

Adding a phase is its four files (notebook, module, configs, tests) and one entry here.
"""

from __future__ import annotations

from typing import NamedTuple

from nbcore.config.evaluate import Evaluate
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
    """The folder of weights that a finished run holds; None for a phase that trains nothing."""
    knobs: dict[str, str]
    """What a person turns first: variable in the notebook's parameters cell -> path in the config."""

    @property
    def trains(self) -> bool:
        """Whether it makes a model, and so is a link of the chain that a report follows."""
        return self.leaves is not None


TABLE: dict[str, Entry] = {  # in the order of the chain
    "pretrain": Entry(
        Pretrain,
        "pretrain",
        parent=None,
        leaves="model",
        knobs={"max_steps": "max_steps", "learning_rate": "learning_rate", "batch_size": "batch_size"},
    ),
    "lang_adapter": Entry(
        LangAdapter,
        "adapter",
        parent=None,
        leaves="adapter",
        knobs={"max_steps": "max_steps", "learning_rate": "learning_rate", "lora_rank": "lora.rank"},
    ),
    "sft": Entry(
        Sft,
        "SFT",
        parent="lang_adapter",
        leaves="adapter",
        knobs={"max_steps": "max_steps", "learning_rate": "learning_rate", "rows": "rows"},
    ),
    "ipo": Entry(
        Ipo,
        "IPO",
        parent="sft",
        leaves="adapter",
        knobs={"max_steps": "max_steps", "learning_rate": "learning_rate", "beta": "beta", "rollouts": "rollouts"},
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
    ),
    "evaluate": Entry(
        Evaluate,
        "evaluate",
        parent=None,
        leaves=None,
        knobs={"heldout": "heldout", "samples": "samples", "temperature": "generation.temperature"},
    ),
}
PHASES: dict[str, type[Phase]] = {name: entry.config for name, entry in TABLE.items()}
