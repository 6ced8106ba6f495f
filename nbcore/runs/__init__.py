"""Run directories, the only thing phases hand each other."""

from nbcore.runs.choice import BASE, described, find
from nbcore.runs.opening import matching, open, seedling
from nbcore.runs.pausing import Paused
from nbcore.runs.run import SEEDLING, Run, listing

__all__ = ["BASE", "SEEDLING", "Paused", "Run", "described", "find", "listing", "matching", "open", "seedling"]
