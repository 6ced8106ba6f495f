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


def test_a_bad_row_or_document_is_set_aside_and_named_by_field_file_and_line(tmp_path, capsys):
    """One bad row of a hundred thousand ended the run. The whole list stands in tests/core/test_formats.py."""
    path = jsonl(tmp_path / "rows.jsonl", row("a", "fn a() {}"), row("b", None))
    report = {}
    assert [each["id"] for each in sources.rows(path, None, 0, counts=report)] == ["a"]
    assert report == {"set_aside": {"missing_content": 1}}
    said = (
        f"rows: {path}: 1 of 2 rows set aside (1 missing_content); first: {path}:2: 'messages[1].content' is None; it"
    )
    assert capsys.readouterr().out.startswith(said)
    good = [{"id": str(n), "text": f"fn a{n}() {{}}"} for n in range(9)]
    path, report = jsonl(tmp_path / "corpus.jsonl", *good, {"id": "b", "text": 5}), {}
    assert sources.documents({path: 10}, "train", 0, report) and report == {"set_aside": {"content_not_text": 1}}
    assert f"corpus.sources: {path}: 1 of 10 documents set aside" in capsys.readouterr().out
    sources.documents({path: 10}, "train", 1)
    assert not capsys.readouterr().out, "said once"
    path = jsonl(tmp_path / "bad.jsonl", row("b", None))
    with pytest.raises(ValueError, match=rf"^rows: {path}:1: 'messages\[1\].content' is None; it must be text"):
        sources.rows(path, None, 0)


def test_of_two_rows_or_documents_of_one_id_the_first_stays(tmp_path, capsys):
    """The id's hash settles the split: a corpus of one id ended in "has no train documents"."""
    path = jsonl(tmp_path / "rows.jsonl", row("a", "fn a() {}"), row("b", "fn b() {}"), row("a", "fn c() {}"))
    assert sources.rows(path, None, 0) == [row("a", "fn a() {}"), row("b", "fn b() {}")]
    assert f"first: {path}:3: 'id' 'a' stands on more than one line" in capsys.readouterr().out


def test_any_format_and_a_folder_of_them_are_rows(tmp_path):
    (tmp_path / "a.csv").write_text("question;answer\nq;fn a() {}\n")
    (tmp_path / "b.json").write_text('[{"instruction": "q2", "input": "", "output": "fn b() {}"}]')
    said = [[message["content"] for message in each["messages"]] for each in sources.rows(str(tmp_path), None, 0)]
    assert said == [["q", "fn a() {}"], ["q2", "fn b() {}"]]


def test_a_document_is_its_text_whatever_else_the_line_has(tmp_path):
    """A line with `messages` too was trained as that chat, and its text never read."""
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"id": str(n), "text": f"fn a{n}() {{}}", "messages": chat, "source": 3} for n in range(60)]
    path = jsonl(tmp_path / "corpus.jsonl", *rows)
    assert all(
        set(row) == {"id", "text", "source"} and row["source"] == path
        for row in sources.documents({path: 60}, "train", 0)
    )
