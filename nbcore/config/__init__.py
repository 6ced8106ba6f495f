"""A phase's configuration: one frozen, closed, typed model for each phase; load, overlay, dump, digest."""

from nbcore.config.data import Data
from nbcore.config.evaluate import Evaluate
from nbcore.config.export import Export
from nbcore.config.grpo import Grpo, RewardWeights
from nbcore.config.ipo import Ipo
from nbcore.config.lang_adapter import LangAdapter
from nbcore.config.leaves import Leaf, leaves
from nbcore.config.load import OPEN, assignments, digest, dump, load
from nbcore.config.phases import PHASES, TABLE
from nbcore.config.pretrain import Pretrain
from nbcore.config.schema import (
    BUILT_IN,
    Closed,
    Corpus,
    Generation,
    Lora,
    Model,
    Phase,
    Sampling,
    Sandbox,
    Tasks,
    Training,
)
from nbcore.config.sft import Sft
from nbcore.config.tasksets import TaskSet

__all__ = [
    "BUILT_IN",
    "OPEN",
    "PHASES",
    "TABLE",
    "Closed",
    "Corpus",
    "Data",
    "Evaluate",
    "Export",
    "Generation",
    "Grpo",
    "Ipo",
    "LangAdapter",
    "Leaf",
    "Lora",
    "Model",
    "Phase",
    "Pretrain",
    "RewardWeights",
    "Sampling",
    "Sandbox",
    "Sft",
    "TaskSet",
    "Tasks",
    "Training",
    "assignments",
    "digest",
    "dump",
    "leaves",
    "load",
]
