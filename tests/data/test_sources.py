"""Documents and rows from a person's file."""

import json

import pytest

from nbcore.data import sources

ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"  # str.splitlines ends a line at each of these


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def row(identity, answer):
    messages = [{"role": "user", "content": ODD}, {"role": "assistant", "content": answer}]
    return {"id": identity, "messages": messages}


def test_odd_line_ends_are_content(tmp_path):
    """A row whose answer held U+2028 was cut in two, and the file refused."""
    rows = [row(str(number), f"fn a{number}() {{}} // {ODD}") for number in range(3)]
    assert sources.rows(jsonl(tmp_path / "rows.jsonl", *rows), None, 0) == rows
    documents = [{"id": str(number), "text": f"{number} {ODD}"} for number in range(60)]
    path = jsonl(tmp_path / "corpus.jsonl", *documents)
    read = sources.documents({path: 60}, "train", 0) + sources.documents({path: 60}, "heldout", 0)
    assert sorted(d["text"] for d in read) == sorted(d["text"] for d in documents)


def test_a_bad_row_or_document_is_named_by_field_file_and_line(tmp_path):
    """The whole list stands in tests/core/test_records.py: here is that a person's files go through it."""
    path = jsonl(tmp_path / "rows.jsonl", row("a", "fn a() {}"), row("b", None))
    with pytest.raises(ValueError, match=rf"^rows: {path}:2: 'messages\[1\].content' is None; it must be text"):
        sources.rows(path, None, 0)
    path = jsonl(tmp_path / "corpus.jsonl", {"id": "a", "text": "fn a() {}"}, {"id": "b", "text": 5})
    with pytest.raises(ValueError, match=f"^corpus.sources: {path}:2: 'text' is 5; it must be text"):
        sources.documents({path: 10}, "train", 0)


def test_two_rows_or_documents_of_one_id_are_named_with_both_lines(tmp_path):
    """The id's hash settles the split: a corpus of one id ended in "has no train documents"."""
    path = jsonl(tmp_path / "rows.jsonl", row("a", "fn a() {}"), row("b", "fn b() {}"), row("a", "fn c() {}"))
    with pytest.raises(ValueError, match=f"^rows: {path}:3: 'id' 'a' stands on more than one line .1 and 3."):
        sources.rows(path, None, 0)
    path = jsonl(tmp_path / "corpus.jsonl", *({"id": "same", "text": f"fn a{n}() {{}}"} for n in range(3)))
    with pytest.raises(ValueError, match=f"^corpus.sources: {path}:2: 'id' 'same' stands on more than one line"):
        sources.documents({path: 10}, "train", 0)


def test_a_document_is_its_text_whatever_else_the_line_has(tmp_path):
    """A line with `messages` too was trained as that chat, and its text never read."""
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"id": str(n), "text": f"fn a{n}() {{}}", "messages": chat, "source": 3} for n in range(60)]
    path = jsonl(tmp_path / "corpus.jsonl", *rows)
    assert all(
        set(row) == {"id", "text", "source"} and row["source"] == path
        for row in sources.documents({path: 60}, "train", 0)
    )
