"""One page about a store: what its newest evaluated chain of runs achieved, with the evidence."""

from nbcore.report.page import build, figure, table

__all__ = ["build", "figure", "table"]
