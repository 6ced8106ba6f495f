"""Run directories, the only thing phases hand each other."""

from nbcore.runs.opening import matching, open, seedling
from nbcore.runs.run import SEEDLING, Run, find, listing
from nbcore.runs.space import Paused

__all__ = ["SEEDLING", "Paused", "Run", "find", "listing", "matching", "open", "seedling"]
