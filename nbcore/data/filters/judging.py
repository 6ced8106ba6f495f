"""One document and the rules: why it is left out, or what it is like and how it reads without secrets."""

from __future__ import annotations

from typing import NamedTuple

from nbcore.config.filters import Filters
from nbcore.core.records import Document
from nbcore.data.filters import characters, licences, origin, paths, redaction, shape, style, tree
from nbcore.data.filters.text import Text

REASONS = {
    "not_utf8": "the file is not UTF-8, which rustc would refuse too",
    "too_large": "the file is too large to be read",
    "unreadable": "the file cannot be opened",
    "link": "a link, which may lead anywhere, or another thing that is no file",
    "unsafe_path": "a path in an archive that leads out of it",
    "duplicate_path": "a second file of the same path in an archive",
    "bad_archive": "an archive that cannot be read, or unpacks to too much",
    "vendored": "a copy of somebody else's code (vendor, third_party, node_modules)",
    "build_output": "what a build left behind (target)",
    "lock_file": "a lock file",
    "skipped_folder": "in a folder that skip_folders names",
    "test": "a file of tests, and drop_tests is set",
    "bench": "a benchmark, and drop_benches is set",
    "example": "an example, and drop_examples is set",
    "licence_unknown": "no licence that SPDX knows is stated",
    "licence_not_permitted": "the licence asks for more than `licences` permits",
    "too_short": "fewer than min_chars characters",
    "too_long": "more than max_bytes bytes",
    "too_few_lines": "fewer than min_lines lines",
    "too_many_lines": "more than max_lines lines",
    "invisible_characters": "characters that cannot be seen or turn the direction of writing",
    "control_token": "a model's control token stands in the text",
    "generated": "the head says that a program wrote it",
    "long_line": "a line longer than max_line",
    "long_mean_line": "the mean line is longer than max_mean_line",
    "short_mean_line": "the mean line is shorter than min_mean_line",
    "repeated_lines": "most lines repeat an earlier one",
    "few_letters": "too few letters and digits",
    "literal_table": "mostly tables of numbers, strings or characters",
    "ffi_bindings": "mostly bindings of a foreign library",
    "todo": "todo! in the code",
    "unimplemented": "unimplemented! in the code",
    "dbg": "dbg! in the code",
    "unsafe": "unsafe in the code",
    "blanket_allow": "a whole group of lints is turned off",
    "unidiomatic": "many habits of other languages",
    "syntax_errors": "too much of it is no Rust",
    "undocumented": "most public items have no doc comment",
}
TAGS = {
    "test": "a file of tests",
    "bench": "a benchmark",
    "example": "an example",
    "unsafe": "has unsafe code",
    "old_edition": "has idioms of the 2015 edition: try!, extern crate",
    "redacted_secret": "a key, token or password was replaced",
    "redacted_email": "an e-mail address was replaced",
    "stripped_characters": "invisible characters were taken out",
}
_CHEAP = (  # in the order of their cost; a file is judged by the first rule that it breaks
    origin.generated,
    shape.line_lengths,
    shape.tables,
    shape.letters,
    shape.repetition,
    origin.foreign,
    style.marker,
    style.unidiomatic,
)


class Judged(NamedTuple):
    """What the rules say of a document."""

    document: Document
    """As it came where it is left out; else perhaps redacted."""
    reason: str | None
    """Why it is left out, one of REASONS; None where it stays."""
    tags: tuple[str, ...]
    """What a document that stays is like, some of TAGS."""


def judge(document: Document, rules: Filters) -> Judged:
    """Judge one document of Rust by its text, and by `path`, `licence` and `unreadable` in its `meta`.

    Where `meta` has no path, rules about paths have no say. `unreadable`: why its reader could not read it. Pure: the
    same document and rules give the same verdict.
    """
    meta = document.get("meta") or {}
    path = str(meta.get("path") or "").replace("\\", "/")
    text = document["text"]
    if (
        reason := meta.get("unreadable")
        or _of_path(path, rules)
        or licences.reason(meta.get("licence"), rules.licences)
    ):
        return Judged(document, reason, ())
    tags = [kind] if (kind := paths.kind(path)) else []
    source = Text(text.removeprefix("\ufeff"))
    if reason := shape.length(source, rules):
        return Judged(document, reason, ())
    if characters.invisible(text):
        if rules.invisible_characters == "drop":
            return Judged(document, "invisible_characters", ())
        source = Text(characters.stripped(text))
        tags.append("stripped_characters")
    # After the stripping: an invisible character in the middle of a control token would hide it.
    if characters.control_token(source.text, rules.control_tokens):
        return Judged(document, "control_token", ())
    for rule in (*_CHEAP, tree.syntax_rules):
        if reason := rule(source, rules):
            return Judged(document, reason, ())
    tags += [name for name in ("unsafe", "old_edition") if style.has(source, name)]
    clean, kinds = redaction.redacted(source.text, rules.redact_secrets, rules.redact_emails)
    return Judged({**document, "text": clean}, None, (*tags, *kinds))


def _of_path(path: str, rules: Filters) -> str | None:
    if not path:
        return None
    if rules.drop_paths and (reason := paths.reason(path)):
        return reason
    if paths.in_folder(path, rules.skip_folders):
        return "skipped_folder"
    unwanted = {"test": rules.drop_tests, "bench": rules.drop_benches, "example": rules.drop_examples}
    kind = paths.kind(path)
    return kind if unwanted.get(kind or "") else None
