"""What Rust is worth training on: the thresholds and choices of the filters in nbcore/data/filters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from nbcore.config.schema import Closed, Count, Fraction

PERMISSIVE = [
    "MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unlicense", "0BSD", "MIT-0",
]  # fmt: skip

Marker = Literal["todo", "unimplemented", "dbg", "unsafe", "blanket_allow"]


class Filters(Closed):
    """Rules for Rust files. The defaults are BigCode's values for Rust and OpenCoder's general ones."""

    min_chars: Annotated[int, Field(ge=0)] = 50
    """The shortest file, in characters."""
    max_bytes: Count = 3_000_000
    """The longest file, in bytes of UTF-8."""
    min_lines: Annotated[int, Field(ge=0)] = 10
    """The fewest lines."""
    max_lines: Count = 100_000
    """The most lines."""
    max_line: Count = 1000
    """The longest line, in characters."""
    min_mean_line: Annotated[float, Field(ge=0)] = 5
    """The shortest mean line, in characters."""
    max_mean_line: Annotated[float, Field(gt=0)] = 100
    """The longest mean line, in characters."""
    max_repeated_lines: Fraction = 0.7
    """Share of the lines that repeat an earlier one; those of one or two characters do not count."""
    min_alphanumeric: Fraction = 0.25
    """Share of the characters that are letters or digits."""
    max_digits_and_commas: Fraction = 0.35
    """Share of the characters that are digits and commas, white space left out: tables of numbers."""
    max_table_lines: Fraction = 0.5
    """Share of the text in lines that hold literals alone: tables of strings, characters or numbers."""
    max_ffi_lines: Fraction = 0.5
    """Share of the lines that bind a foreign library: extern blocks, #[repr(C)] types, numeric constants."""
    max_syntax_errors: Fraction = 0.02
    """Share of the text that the syntax tree counts as erroneous."""
    drop_paths: bool = True
    """Leave out vendored copies, build output and lock files."""
    drop_generated: bool = True
    """Leave out what says in its head that a program wrote it."""
    skip_folders: list[str] = []
    """Names of more folders to leave out, wherever they stand."""
    drop_tests: bool = False
    """Leave out files of tests; kept ones have the tag 'test'."""
    drop_benches: bool = False
    """Leave out benchmarks; kept ones have the tag 'bench'."""
    drop_examples: bool = False
    """Leave out examples; kept ones have the tag 'example'."""
    markers: list[Marker] = ["todo", "dbg", "blanket_allow"]
    """What code must not hold, outside of comments and strings: todo!, unimplemented!, dbg!, unsafe, or an allow of a
    whole group of lints."""
    prefer_idiomatic: bool = False
    """Leave out code with many signs of another language's habits: loops over indexes, == true, &Vec, camelCase."""
    max_unidiomatic: Fraction = 0.03
    """With prefer_idiomatic: the most such signs for a line of code. A single one is never too many."""
    prefer_documented: bool = False
    """Leave out files whose public items mostly have no doc comment."""
    min_documented: Fraction = 0.5
    """With prefer_documented: the least share of public items with a doc comment."""
    licences: list[str] = PERMISSIVE
    """SPDX identifiers that may be trained on; of an OR one side suffices. Empty: no licence is asked for."""
    invisible_characters: Literal["drop", "strip"] = "drop"
    """Files with characters that cannot be seen or turn the direction of writing: leave out, or take those out."""
    control_tokens: list[str] = []
    """More control tokens that no content may hold, beside the usual ones of chat and fill-in-the-middle."""
    redact_secrets: bool = True
    """Replace keys, tokens and passwords."""
    redact_emails: bool = True
    """Replace e-mail addresses."""

    @field_validator("skip_folders", "control_tokens", "licences")
    @classmethod
    def _no_blank_names(cls, values: list[str]) -> list[str]:
        if any(not value.strip() for value in values):
            raise ValueError("holds a blank entry, which would fit anything or nothing; take it out")
        return values
