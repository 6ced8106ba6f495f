"""A config taken apart: every single value with what its schema says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from nbcore.config.schema import Closed


class Leaf(NamedTuple):
    """One value of a config with what its schema says of it."""

    path: str
    value: Any
    annotation: Any
    bounds: dict[str, float]
    help: str


def leaves(config: Closed, prefix: str = "") -> Iterator[Leaf]:
    """Every value that is not itself a model, depth first, in the schema's order."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Closed):
            yield from leaves(value, f"{prefix}{name}.")
            continue
        metadata = list(field.metadata)
        for argument in get_args(field.annotation):  # `Count | None` keeps its bounds inside the union
            metadata += getattr(argument, "__metadata__", ())
        bounds = {}
        for entry in metadata:
            for item in getattr(entry, "metadata", [entry]):
                for limit in ("ge", "gt", "le", "lt"):
                    if (bound := getattr(item, limit, None)) is not None:
                        bounds[limit] = bound
        yield Leaf(f"{prefix}{name}", value, field.annotation, bounds, field.description or "")
