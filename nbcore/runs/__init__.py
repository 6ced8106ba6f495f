"""Run directories, the only thing phases hand each other."""

from nbcore.runs.run import SEEDLING, Run, find, listing, matching, open, seedling

__all__ = ["SEEDLING", "Run", "find", "listing", "matching", "open", "seedling"]
