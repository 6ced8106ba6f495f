"""The config of the data phase: sources, filters, copies, splits, and how it is all mixed."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from nbcore.config.filters import Filters
from nbcore.config.schema import Closed, Count, Model, Phase, Positive

GENERATED = ("katas", "files", "copies", "calls")  # made to order, each with held-out documents of its own
HUB = ("hf://", "hub:")  # how the addresses of data sets on the Hub begin
COMMIT = re.compile(r"@[0-9a-f]{40}(?:[/#]|$)")


class Source(Closed):
    """Where records come from, and how many of them."""

    name: Annotated[str, Field(min_length=1)]
    """'katas', 'files', 'copies', 'calls' (generated), 'rust-src' (Rust's library: functions and types, whole
    files as crates), a file, a folder, hf://datasets/OWNER/NAME@COMMIT, and with kind crates what that says."""
    kind: Literal["documents", "rows", "crates"] = "documents"
    """'documents' and 'rows': any common format, and what is built in; 'crates': Rust files, each a document: of a
    folder of crates, a .crate archive, 'rust-src', 'debian' or one librust-*-dev package, or hub:OWNER/NAME@COMMIT."""
    access: Literal["cached", "streaming"] = "cached"
    """'streaming' reads a data set of the Hub without keeping it on the disk; 'cached' downloads it first."""
    read: Count | None = None
    """Read only so many records, from the beginning. Empty: all."""
    most: Count | None = None
    """Take at most so many into the training split, drawn with the seed; how many to generate, of a generated one."""
    weight: Positive = 1.0
    """With mix.mode weighted: how often this source's turn comes, against the others of its group."""
    group: Literal["domain", "general"] = "domain"
    """With mix.general_share: whether it is what is to be learnt, or what is not to be forgotten."""
    rules: Literal["rust", "none"] = "rust"
    """Whether the filters apply. They never do to rows and to what is generated."""
    licence: str | None = None
    """The licence of records that state none, as SPDX text."""

    @property
    def generated(self) -> bool:
        """Whether it is made to order, with a split by composition of its own."""
        return self.name in GENERATED and self.kind == "documents"


class Mix(Closed):
    """The order and proportion in which the sources' records are trained."""

    mode: Literal["concatenate", "sequential", "round_robin", "weighted"] = "concatenate"
    """'concatenate': all in one pool, shuffled together; 'sequential': one source after the other in the order they are
    written in, which training keeps; 'round_robin': one of each in turn; 'weighted': drawn by the sources' weights."""
    stop: Literal["each_once", "first_exhausted", "all_exhausted"] = "each_once"
    """Where round_robin and weighted end. 'each_once': a source that is used up drops out, and every record comes once;
    'first_exhausted': when one is used up; 'all_exhausted': when each was, a smaller one beginning again meanwhile."""
    total: Count | None = None
    """End after so many records in any case."""
    general_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """With mode weighted: the share of general sources, whatever their number and weights."""
    shuffle: bool = True
    """Whether records are shuffled with the seed: in one pool with mode concatenate, else within each source."""

    @model_validator(mode="after")
    def _share_needs_weights(self):
        if self.general_share is not None and self.mode != "weighted":
            raise ValueError(f"general_share is {self.general_share} with mode {self.mode!r}; set mode: weighted")
        return self


class Data(Phase):
    """Records of any source, filtered, without copies and evaluation tasks, split, mixed, in shards."""

    phase: Literal["data"] = "data"
    """Names the phase."""
    sources: Annotated[list[Source], Field(min_length=1)] = [Source(name="katas", most=2000)]
    """What is read, in this order: a mapping of name to settings (a number alone is its `most`), or a list of settings
    with their names. {katas: 2000, my_files: {kind: rows}}."""
    filters: Filters | None = None
    """Rules for the documents of sources that are not generated. Empty: none; {}: the usual ones."""
    copies: Literal["near", "exact", "keep"] = "near"
    """Of equal records, or of nearly equal ones too, the better one stays. Kept ones stand in one split. Generated ones
    are not compared: variations of one pattern are what they are for."""
    near_threshold: Annotated[float, Field(gt=0, le=1)] = 0.7
    """How similar near copies are: the Jaccard similarity of their 5-grams of tokens."""
    decontaminate: bool = True
    """Leave out what holds a task of an evaluation set. Generated ones are of other compositions by construction."""
    protect: list[str] = []
    """More files of tasks that nothing may contain."""
    heldout_share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of each source that is held out, by a hash of the content."""
    heldout_documents: Count = 200
    """How many held-out documents to generate, of each generated source."""
    split_by: Literal["content", "repository"] = "content"
    """'repository' keeps all files of a repository in one split."""
    mix: Mix = Mix()
    """How the training records are mixed. Held-out ones are never left out or repeated."""
    shard_mb: Annotated[float, Field(gt=0, le=1024)] = 64
    """Size of a shard, in MB of text; what is held in memory does not depend on it."""

    @field_validator("sources", mode="before")
    @classmethod
    def _from_a_mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        settings = []
        for name, given in value.items():
            given = {"most": given} if isinstance(given, int) and not isinstance(given, bool) else given
            settings.append({"name": name, **given} if isinstance(given, dict) else given)
        return settings

    @field_validator("sources")
    @classmethod
    def _sources_make_sense(cls, sources: list[Source]) -> list[Source]:
        names = [source.name for source in sources]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice!r} stands twice; name each source once")
        for name, source in zip(names, sources, strict=True):
            on_hub = name.startswith(HUB)
            if on_hub and not COMMIT.search(name):
                raise ValueError(f"{name!r} names no commit; put @ and its 40 hex digits after OWNER/NAME")
            if name.startswith("hub:") != (on_hub and source.kind == "crates"):
                wanted = "hub:OWNER/NAME@COMMIT" if source.kind == "crates" else "hf://datasets/OWNER/NAME@COMMIT"
                raise ValueError(f"{name!r} is read as {source.kind}; a data set of the Hub is then {wanted}")
            if source.access == "streaming" and not on_hub:
                raise ValueError(f"{name!r}: access is streaming, which is for data sets of the Hub; leave it out")
            if name in ("files", "copies", "calls") and source.kind != "documents":
                raise ValueError(f"{name!r}: kind is {source.kind!r}; it is generated as documents only")
            if source.generated and source.most is None:
                raise ValueError(f"{name!r} has no end; say how many to generate: {{most: 2000}}")
        return sources

    @model_validator(mode="after")
    def _both_groups(self):
        groups = {source.group for source in self.sources}
        if self.mix.general_share is not None and len(groups) < 2:
            raise ValueError("mix.general_share is set; give sources of both groups, group: domain and group: general")
        return self

    @model_validator(mode="after")
    def _needs_no_model(self):
        if self.model != Model():
            raise ValueError("model: the data phase loads no model; leave it out")
        return self


def shares(sources: list[Source], general: float | None) -> dict[str, float]:
    """Name → the share that mode weighted gives each source; they sum to 1."""
    total = {"domain": 0.0, "general": 0.0}
    for source in sources:
        total[source.group] += source.weight
    if general is None:
        return {source.name: source.weight / sum(total.values()) for source in sources}
    part = {"domain": 1 - general, "general": general}
    return {source.name: part[source.group] * source.weight / total[source.group] for source in sources}
