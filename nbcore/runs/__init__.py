"""Run directories, the only thing phases hand each other."""

from nbcore.runs.run import Run, find, listing, matching, open

__all__ = ["Run", "find", "listing", "matching", "open"]
