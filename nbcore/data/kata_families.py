"""All kata families by name."""

from nbcore.data.kata_families_containers import CONTAINERS
from nbcore.data.kata_families_flow import FLOW
from nbcore.data.kata_families_iterators import ITERATORS
from nbcore.data.kata_families_text import TEXT
from nbcore.data.kata_families_types import TYPES
from nbcore.data.kata_families_values import VALUES
from nbcore.data.kata_family import Family

ROWS = ITERATORS + CONTAINERS + FLOW + VALUES + TYPES + TEXT
FAMILIES: dict[str, Family] = {family.name: family for family in ROWS}
assert len(FAMILIES) == len(ROWS), "family names repeat"
