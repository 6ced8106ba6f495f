"""JSON lines: what ends a line, and what is said of a file or a line that cannot be read."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.core import lines
from nbcore.core.records import Document

ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\rj"  # str.splitlines ends a line at each of these
GOOD = b'{"id": "a", "text": "fn a() {}"}\n'


def records(path):
    return [record for _, record in lines.parsed(path, Document.parse, "corpus.sources")]


@given(st.lists(st.text(), max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_any_text_comes_back(tmp_path_factory, texts, end):
    """A document that held U+2028 was cut in two, and both halves were no JSON."""
    path = tmp_path_factory.mktemp("lines") / "corpus.jsonl"
    rows = [{"id": str(number), "text": text.replace("\0", "") + ODD} for number, text in enumerate([*texts, ""])]
    path.write_bytes("".join(json.dumps(row, ensure_ascii=False) + end for row in rows).encode())
    assert records(path) == rows == lines.read(path)


def test_what_was_appended_is_read(tmp_path):
    path = tmp_path / "samples.jsonl"
    lines.append(path, {"id": "a", "completion": ODD}, {"id": "b", "completion": "\0"})
    lines.append(path, {"id": "c", "completion": ODD})
    assert [row["id"] for row in lines.read(path)] == ["a", "b", "c"]
    assert lines.read(path)[2]["completion"] == ODD


def test_a_byte_order_mark_of_utf_8_is_taken_off(tmp_path):
    """Windows editors write one."""
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD)
    assert records(path) == [{"id": "a", "text": "fn a() {}"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(GOOD, mtime=0), ": is gzip, not text; unpack"),
        (b"PK\x03\x04rest", ": is a zip archive, not text"),
        (GOOD.decode().encode("utf-16"), ": is UTF-16 or binary, not UTF-8 text; save it as UTF-8"),
        (GOOD.decode().encode("utf-16-le"), ": is UTF-16 or binary"),
        (GOOD.decode().encode("utf-16-be"), ": is UTF-16 or binary"),
        (bytes(64), ": is UTF-16 or binary"),
        (
            GOOD + '{"id": "b", "text": "é"}'.encode("latin-1"),
            r":2: not UTF-8 \(byte 0xe9 at 21\); save the file as UTF",
        ),
        (GOOD + b'{"id": "b", "text": "a\0b"}', r":2: not JSON \(Invalid control character"),
        (b"[" + GOOD.strip() + b"]\n", ":1: the beginning of a JSON array; write each"),
        (b"[\n  " + GOOD.strip() + b"\n]\n", ":1: the beginning of a JSON array; write each"),
        (GOOD + b"[" * 100_000, ":2: not JSON that can be read: nested too deep"),
        (GOOD + b'{"id": "b", "text": "", "meta": ' + b"[" * 200 + b"]" * 200 + b"}", r":2: nested too deep \(201 lev"),
        (GOOD + b"9" * 5000, r":2: not JSON \(Exceeds the limit"),
        (GOOD + b"{", ":2: not JSON .*; each line is one JSON mapping"),
        (b"[1]", r":1: \[1\] is no mapping; a line has id, text"),
        (b"\n" + GOOD + b'\n{"id": "b"}', ":4: 'text' is missing"),
        (GOOD + b'{"id": "b", "text": "\\ud800"}', ":2: 'text' holds half of a surrogate pair"),
        (GOOD + b'{"id": "b", "text": "\\u0000"}', ":2: 'text' holds a NUL character"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, content, words):
    """Latin-1, gzip, a number of 5000 digits or deep brackets ended in errors of Python's own."""
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^corpus.sources: {path}{words}") as caught:
        records(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"corpus.sources: no file {tmp_path}; give a .jsonl file"):
        records(tmp_path)
