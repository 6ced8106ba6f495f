"""Run directories, the only thing phases hand each other."""

from nbcore.runs.opening import matching, open, seedling
from nbcore.runs.pausing import Paused
from nbcore.runs.run import SEEDLING, Run, find, listing

__all__ = ["SEEDLING", "Paused", "Run", "find", "listing", "matching", "open", "seedling"]
