"""One page about a store: what an evaluated chain of runs achieved, with the evidence."""

from nbcore.report.page import build, figure, left_out, table

__all__ = ["build", "figure", "left_out", "table"]
