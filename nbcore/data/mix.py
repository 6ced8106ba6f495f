"""How the records of several sources become one sequence: settled by the seed, with a rule for where it ends.

It works on the records' numbers alone, eight bytes for each, so the records themselves may lie on disk.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Mapping, Sequence

from nbcore.config.data import Mix


def mixed(pools: Mapping[str, Sequence[int]], shares: Mapping[str, float], wanted: Mix, seed: int) -> array[int]:
    """The numbers in `pools` (source → those of its records) in the order in which they are trained.

    `shares` says how often each source's turn comes with mode weighted. With stop all_exhausted a number may come more
    than once; with `total`, or stop first_exhausted, some come not at all.
    """
    shuffle = random.Random(seed)
    ordered = {name: array("Q", pool) for name, pool in pools.items() if pool}
    if wanted.mode == "concatenate":
        joined = _joined(ordered)
        if wanted.shuffle:
            shuffle.shuffle(joined)
        return joined[: wanted.total]
    if wanted.shuffle:
        for pool in ordered.values():
            shuffle.shuffle(pool)
    if wanted.mode == "sequential":
        return _joined(ordered)[: wanted.total]
    return _interleaved(ordered, shares, wanted, shuffle)


def capped(pool: Sequence[int], most: int | None, seed: int) -> Sequence[int]:
    """At most so many of a source's records, drawn with the seed, in their own order."""
    if most is None or most >= len(pool):
        return pool
    return array("Q", sorted(random.Random(seed).sample(pool, most)))


def _joined(pools: Mapping[str, array[int]]) -> array[int]:
    joined = array("Q")
    for pool in pools.values():
        joined.extend(pool)
    return joined


def _interleaved(
    pools: Mapping[str, array[int]], shares: Mapping[str, float], wanted: Mix, draw: random.Random
) -> array[int]:
    taken = dict.fromkeys(pools, 0)
    unfinished = set(pools)  # sources of which something has not come yet
    chosen = array("Q")
    names = list(pools)
    for name in _turns(names, shares, wanted.mode, draw):
        if len(chosen) == wanted.total:
            break
        pool = pools[name]
        chosen.append(pool[taken[name] % len(pool)])
        taken[name] += 1
        if taken[name] < len(pool):
            continue
        unfinished.discard(name)
        if wanted.stop == "each_once":
            names.remove(name)
        if wanted.stop == "first_exhausted" or not unfinished:
            break
    return chosen


def _turns(names: list[str], shares: Mapping[str, float], mode: str, draw: random.Random) -> Iterator[str]:
    """Whose turn it is, as long as there are names; the caller takes out those that are used up."""
    while names:
        if mode == "round_robin":
            yield from list(names)
        else:
            yield draw.choices(names, [shares[name] for name in names])[0]
