"""All kata families by name."""

from nbcore.tasks.katas.families.containers import CONTAINERS
from nbcore.tasks.katas.families.flow import FLOW
from nbcore.tasks.katas.families.iterators import ITERATORS
from nbcore.tasks.katas.families.text import TEXT
from nbcore.tasks.katas.families.types import TYPES
from nbcore.tasks.katas.families.values import VALUES
from nbcore.tasks.katas.family import Family

ROWS = ITERATORS + CONTAINERS + FLOW + VALUES + TYPES + TEXT
FAMILIES: dict[str, Family] = {family.name: family for family in ROWS}
assert len(FAMILIES) == len(ROWS), "family names repeat"
