"""All kata families by name."""

from nbcore.data.kata_families_sequences import SEQUENCES
from nbcore.data.kata_families_values import VALUES
from nbcore.data.kata_family import Family

FAMILIES: dict[str, Family] = {family.name: family for family in SEQUENCES + VALUES}
assert len(FAMILIES) == len(SEQUENCES) + len(VALUES), "family names repeat"
