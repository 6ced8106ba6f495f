"""Which Rust files are worth training on, why the others are not, and what must not stand in any of them."""

from nbcore.data.filters.judging import REASONS, TAGS, Judged, judge
from nbcore.data.filters.tally import Tally, kept

__all__ = ["REASONS", "TAGS", "Judged", "Tally", "judge", "kept"]
