"""Copies among texts: exact, and near by MinHash (rensa), where each candidate is verified by its true similarity.

Two texts are near-copies when the sets of their 5-grams of tokens have a Jaccard similarity of at least 0.7. MinHash
only proposes pairs; a pair counts when the sets themselves were compared, so that chance drops no text.
Copies of copies belong to one group. A text of fewer than ten tokens is a copy only of the same tokens: in so few
tokens, similar is not the same. Texts are read one at a time, so they may lie on disk: what is held in memory for each
is 42 numbers of 8 bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import rensa

THRESHOLD = 0.7
SHINGLE = 5  # tokens
SHORT = 10  # tokens: below, only the same tokens are a copy
BANDS, ROWS = 42, 6  # proposes 99.5 % of the pairs at J = 0.7, and 48 % of those at 0.5, which verifying then refuses
_SEED = 42
_BATCH_TEXTS, _BATCH_SHINGLES = 256, 500_000
TOKEN = re.compile(r"\w+|[^\w\s]")
_WEIGHTS = np.array(
    [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93, 0xA24BAED4963EE407], np.uint64
)


def exact(texts: Iterable[str]) -> list[list[int]]:
    """Groups of indexes of texts that are equal but for white space, each at least 2 long, in order of first index."""
    groups: dict[bytes, list[int]] = {}
    for index, text in enumerate(texts):
        normal = " ".join(text.split())
        groups.setdefault(hashlib.sha256(normal.encode(errors="replace")).digest()[:16], []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def near(texts: Sequence[str], threshold: float = THRESHOLD) -> list[list[int]]:
    """Groups of indexes of texts that are copies or near-copies, each at least 2 long, in order of first index.

    `texts` is read by index, more than once. ValueError where the threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; a Jaccard similarity is above 0 and at most 1: 0.7 is usual")
    count = len(texts)
    leader = list(range(count))  # of each text the one that leads its group, or one nearer to it
    bands = np.empty((count, BANDS), np.uint64)
    same: dict[bytes, int] = {}  # the first text with these very shingles
    first = np.ones(count, bool)
    for start, sets in _batches(texts):
        for index, hashes in enumerate(sets, start):
            earlier = same.setdefault(hashlib.sha256(hashes.tobytes()).digest()[:16], index)
            first[index] = earlier == index
            _unite(leader, earlier, index)
        bands[start : start + len(sets)] = _band_hashes(sets)
    same.clear()
    sets_of = lru_cache(maxsize=512)(lambda index: shingles(texts[index]))
    only_first = np.flatnonzero(first)
    for left, right in _candidates(bands, only_first):
        apart = _leader(leader, left) != _leader(leader, right)
        if apart and _jaccard(sets_of(left), sets_of(right)) >= threshold:
            _unite(leader, left, right)
    groups: dict[int, list[int]] = {}
    for index in range(count):
        groups.setdefault(_leader(leader, index), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def kept(group: Sequence[int], quality: Callable[[int], Any], name: Callable[[int], str]) -> int:
    """The one of a group of copies to keep: the highest `quality`, then the smallest name (a path or an id)."""
    best = max(quality(index) for index in group)
    return min((index for index in group if quality(index) == best), key=lambda index: (name(index), index))


def similarity(left: str, right: str) -> float:
    """The true Jaccard similarity of two texts, over the sets of their 5-grams of tokens."""
    return _jaccard(shingles(left), shingles(right))


@lru_cache(maxsize=200_000)
def _number(token: str) -> int:
    # Not hash(): that differs from process to process.
    return int.from_bytes(hashlib.blake2b(token.encode(errors="replace"), digest_size=8).digest(), "little")


def shingles(text: str) -> np.ndarray:
    """The sorted distinct hashes (uint64) of the text's 5-grams; of a short text one hash, of all its tokens."""
    tokens = TOKEN.findall(text)
    if len(tokens) < SHORT:
        return np.array([_number("short " + " ".join(tokens))], np.uint64)
    numbers = np.fromiter(map(_number, tokens), np.uint64, len(tokens))
    length = len(tokens) - SHINGLE + 1
    mixed = np.zeros(length, np.uint64)
    for place, weight in enumerate(_WEIGHTS):
        mixed = (mixed ^ (mixed >> np.uint64(29))) * weight + numbers[place : place + length]
    return np.unique(mixed)


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, list[np.ndarray]]]:
    """(index of the first, shingles of some texts in a row), few enough that memory stays flat."""
    start, sets, held = 0, [], 0
    for index in range(len(texts)):
        sets.append(shingles(texts[index]))
        held += len(sets[-1])
        if len(sets) == _BATCH_TEXTS or held > _BATCH_SHINGLES:
            yield start, sets
            start, sets, held = index + 1, [], 0
    if sets:
        yield start, sets


def _band_hashes(sets: list[np.ndarray]) -> np.ndarray:
    """(texts, BANDS) uint64: texts that agree in a band's six minima have the same number there."""
    offsets = np.cumsum([0, *map(len, sets)]).tolist()
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(np.concatenate(sets), offsets, BANDS * ROWS, _SEED)
    rows = np.array(matrix.to_rows(), np.uint64).reshape(len(sets), BANDS, ROWS)
    mixed = np.zeros((len(sets), BANDS), np.uint64)
    for place in range(ROWS):
        mixed = (mixed ^ (mixed >> np.uint64(29))) * _WEIGHTS[0] + rows[:, :, place]
    return mixed


def _candidates(bands: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of the chosen texts that share a band. A pair may come more than once."""
    for band in range(BANDS):
        values = bands[chosen, band]
        order = np.argsort(values, kind="stable")
        edges = np.flatnonzero(np.diff(values[order])) + 1
        starts, ends = np.append(0, edges), np.append(edges, len(order))
        for bucket in np.flatnonzero(ends - starts > 1):
            members = chosen[order[starts[bucket] : ends[bucket]]].tolist()
            for place, left in enumerate(members):
                for right in members[place + 1 :]:
                    yield left, right


def _jaccard(left: np.ndarray, right: np.ndarray) -> float:
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


def _leader(leader: list[int], index: int) -> int:
    while leader[index] != index:
        leader[index] = leader[leader[index]]
        index = leader[index]
    return index


def _unite(leader: list[int], left: int, right: int) -> None:
    first, second = sorted((_leader(leader, left), _leader(leader, right)))
    leader[second] = first
