"""The reader of the files that people bring: what it makes of each format, and what it sets aside."""

import contextlib
import gzip
import json
import os
import random
from itertools import pairwise

import pyarrow
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from nbcore.core import formats
from nbcore.core.formats import content, loading

ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"  # str.splitlines ends a line at each of these
ASKED, ANSWERED = {"role": "user", "content": "q"}, {"role": "assistant", "content": f"fn a() {{}} // {ODD}"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "cargo", "arguments": "{}"}}]}
ALPACA = [{"instruction": f"ask {n} {ODD}", "input": "", "output": f"answer\n{n}"} for n in range(4)]


def written(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def jsonl(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def both(path, kind="rows"):
    """(kept, [(line, reason)])"""
    every = list(formats.read(path, kind))
    aside = [each for each in every if isinstance(each, formats.SetAside)]
    assert all(len(each.text) <= 200 and each.text.encode() is not None for each in aside)
    return [each for each in every if not isinstance(each, formats.SetAside)], [(a.line, a.reason) for a in aside]


def said(row):
    return [(message["role"], message["content"]) for message in row["messages"]]


PAIRS = [[("user", row["instruction"]), ("assistant", row["output"])] for row in ALPACA]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: pyarrow.compress(data, "zstd", asbytes=True)])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ALPACA, ensure_ascii=False),
        json.dumps(ALPACA, indent=2, ensure_ascii=False),
        json.dumps(ALPACA, indent=0),
        jsonl(*ALPACA),
        jsonl(*ALPACA).replace("\n", "\r\n"),
        "\n \r\n" + "\n\n".join(json.dumps(row, indent=1) for row in ALPACA),
    ],
    ids=["list", "indented", "indent 0", "lines", "windows", "mappings"],
)
def test_alpaca_in_any_dress(tmp_path, text, encoding, pack):
    """The name says nothing: one file is called .txt, and is what its content says."""
    path = written(tmp_path / "rows.txt", pack(text.encode(encoding)))
    kept, aside = both(path)
    assert [said(row) for row in kept] == PAIRS and not aside and formats.format_of(path) == "alpaca"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("question", ["instruction", "Prompt", " QUESTION "])
@pytest.mark.parametrize("answer", ["response", "Output", "completion", "answer"])
def test_tables_with_the_names_that_people_use(tmp_path, delimiter, question, answer):
    text = f'\ufeff{question}{delimiter}{answer}\r\n"a{delimiter}\r\nb ""c"""{delimiter}{ODD[:-2]}\r\n\r\nq{delimiter}'
    kept, aside = both(written(tmp_path / "rows", text))
    assert [said(row) for row in kept] == [[("user", f'a{delimiter}\nb "c"'), ("assistant", ODD[:-2])]] and aside == [
        (5, "blank_content")
    ]
    assert formats.format_of(tmp_path / "rows") == "csv"


def test_sharegpt_with_all_its_roles(tmp_path):
    turns = [
        ("system", "s"),
        ("human", "q"),
        ("gpt", "a"),
        ("user", "q"),
        ("assistant", "a"),
        ("tool", ""),
        ("gpt", "z"),
    ]
    record = {"id": 7, "conversations": [{"from": speaker, "value": text} for speaker, text in turns]}
    path = written(tmp_path / "dump.json", json.dumps([record]))
    [row], aside = both(path)
    roles = ["system", "user", "assistant", "user", "assistant", "tool", "assistant"]
    assert said(row) == [(role, text) for role, (_, text) in zip(roles, turns, strict=True)] and not aside
    assert row["id"] == "7" and formats.format_of(path) == "sharegpt"


def test_chat_with_tools_and_content_in_parts(tmp_path):
    parts = [{"type": "text", "text": "he"}, {"type": "text", "text": "llo"}]
    messages = [{"role": "user", "content": parts}, CALL, {"role": "tool", "content": ""}, ANSWERED]
    record = {"messages": messages, "tools": [{"type": "function", "function": {"name": "cargo"}}]}
    path = written(tmp_path / "chat.jsonl", jsonl(record))
    [row], aside = both(path)
    assert row["messages"] == [{"role": "user", "content": "hello"}, *messages[1:]] and row["tools"] == record["tools"]
    assert not aside and formats.format_of(path) == "messages"
    parquet.write_table(pyarrow.Table.from_pylist([row | {"id": None}]), tmp_path / "chat.parquet")
    [same], aside = both(tmp_path / "chat.parquet")
    assert (same["messages"], same["tools"], aside) == (row["messages"], row["tools"], []) and same["id"] == row["id"]


def test_a_row_of_ours_comes_back_as_it_was(tmp_path):
    """Another order of keys or a field less would be another data hash."""
    rows = [{"id": "a", "messages": [ASKED, ANSWERED], "meta": {"family": "x"}, "more": [1.5]}]
    kept, _ = both(written(tmp_path / "rows.jsonl", jsonl(*rows)))
    assert json.dumps(kept) == json.dumps(rows)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{'instruction': 'q'}", "not_json"),
        (b'{"instruction": "\xe9", "output": "a"}', "not_utf8"),
        ('{"instruction": "q", "output": ' + "[" * 200 + "]" * 200 + "}", "nested_too_deep"),
        ('{"a":' * 100_000, "nested_too_deep"),
        ("9" * 5000, "not_json"),
        ("[1, 2]", "no_object"),
        ("null", "no_object"),
        ('{"foo": 1}', "unknown_shape"),
        ('{"instruction": "q"}', "missing_content"),
        ('{"instruction": "q", "output": null}', "missing_content"),
        ('{"instruction": "q", "output": NaN}', "content_not_text"),
        ('{"instruction": true, "output": "a"}', "content_not_text"),
        ('{"instruction": "q", "output": 1e999}', "content_not_text"),
        ('{"instruction": " \\u2028\\n", "output": "a"}', "blank_content"),
        ('{"instruction": "q", "output": ""}', "blank_content"),
        ('{"instruction": "q", "output": "\\ud800"}', "bad_characters"),
        ('{"instruction": "q", "output": "\\u0000"}', "bad_characters"),
        ('{"instruction": "q\0", "output": "a"}', "not_json"),
        ('{"id": "known", "instruction": "q", "output": "a"}', "duplicate_id"),
        ('{"conversations": [{"from": "alien", "value": "q"}]}', "unknown_role"),
        (json.dumps({"messages": [{"role": "narrator", "content": "q"}, ANSWERED]}), "unknown_role"),
        (json.dumps({"messages": [ASKED, {"role": "system", "content": "s"}, ANSWERED]}), "system_not_first"),
        (json.dumps({"messages": [ASKED, ASKED, ANSWERED]}), "two_user_messages"),
        (json.dumps({"messages": [ANSWERED, ASKED, ANSWERED]}), "begins_with_assistant"),
        (json.dumps({"messages": [ASKED, ANSWERED, ASKED]}), "ends_without_assistant"),
        (json.dumps({"messages": [ASKED, {"role": "assistant", "content": None}]}), "missing_content"),
        (json.dumps({"messages": [ASKED, {"role": "assistant", "content": "", "tool_calls": []}]}), "blank_content"),
        (json.dumps({"messages": [ASKED, CALL | {"tool_calls": ["x"]}, ANSWERED]}), "bad_tool_calls"),
        (json.dumps({"messages": [ASKED, ANSWERED], "tools": "cargo"}), "bad_tools"),
        (
            json.dumps({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ANSWERED]}),
            "content_not_text",
        ),
        ('{"messages": null}', "missing_content"),
        ('{"messages": []}', "missing_content"),
    ],
)
def test_one_bad_row_is_set_aside_and_the_rest_goes_on(tmp_path, line, reason):
    """Any of these ended the whole file, or was trained on."""
    good = jsonl({"id": "known", "instruction": "q1", "output": "a"}).encode()
    line = line if isinstance(line, bytes) else line.encode()
    kept, aside = both(written(tmp_path / "rows.jsonl", good + line + b"\n\n" + jsonl(ALPACA[0]).encode()))
    assert [row["messages"][0]["content"] for row in kept] == ["q1", ALPACA[0]["instruction"]]
    assert aside == [(2, reason)]


def test_a_list_that_is_cut_off_keeps_what_stands_before_the_cut(tmp_path):
    text = json.dumps(ALPACA, indent=1).encode()
    path = written(tmp_path / "rows.json", text[:-30])
    assert (len(both(path)[0]), both(path)[1]) == (3, [(17, "cut_off")])
    packed = gzip.compress(
        jsonl(*({"instruction": f"q{n}", "output": str(random.Random(n).random())} for n in range(999))).encode()
    )
    kept, aside = both(written(tmp_path / "rows.jsonl", packed[: len(packed) // 2]))
    assert 300 < len(kept) < 700 and [reason for _, reason in aside] == ["cut_off"]


def test_a_bad_element_of_a_list_takes_no_others_with_it(tmp_path):
    """A bracket that is missing made one record of all that follow."""
    rows = [json.dumps(row) for row in ALPACA]
    for bad in (rows[1][:-1], rows[1][:-2], rows[1].replace('"', "", 1), "nonsense"):
        text = "[\n " + ",\n ".join([rows[0], bad, *rows[2:]]) + "\n]"
        kept, aside = both(written(tmp_path / "rows.json", text))
        assert len(kept) == 3 and [line for line, _ in aside] == [3], bad


@pytest.mark.parametrize(
    ("text", "kept", "aside"),
    [
        ("x,y\n", 1, []),
        ('"x,y\nq,r\ns,t\n', 2, [(2, "cut_off")]),
        ('"x","fn f(a: u8,\n b: u8)\n{\n}', 0, [(2, "cut_off")]),
        ('"x"y,z\nq,r\n', 1, [(2, "not_csv")]),
        ("a,b,c\nq,r\n", 1, [(2, "wrong_columns")]),
        ("a\nq,r\n", 1, [(2, "missing_content")]),
        (b'q,"caf\xe9\nmore, of it"\nq,r\n', 1, [(2, "not_utf8")]),
    ],
)
def test_a_bad_row_of_a_table(tmp_path, text, kept, aside):
    """The lines of a row that was cut off were taken for rows; a stray quote took the rest of the file with it."""
    data = b"prompt,answer\n" + (text if isinstance(text, bytes) else text.encode())
    rows, set_aside = both(written(tmp_path / "rows.csv", data))
    assert (len(rows), set_aside) == (kept, aside)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.jsonl", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a picture"),
        ("a.jsonl", b"PK\x03\x04rest", "is a zip archive"),
        ("a.jsonl", bytes(range(256)) * 8, "is binary"),
        ("a.jsonl", jsonl(*ALPACA).encode("utf-16-le"), "is UTF-16 without a byte order mark"),
        ("a.jsonl", jsonl(*ALPACA).encode("utf-16-be"), "is UTF-16 without a byte order mark"),
        ("a.jsonl", gzip.compress(b"x", mtime=0)[:10], "cannot be unpacked"),
        ("a.parquet", b"PAR1 and no more", "is Parquet that is cut off or damaged"),
        (
            "a.jsonl",
            '{"foo": 1}\n{"bar": 2}\n',
            "1: 'messages' is missing, and no record has a known shape: the first has foo",
        ),
        ("a.csv", "name;age\nx;3\n", "has no known shape"),
        ("a.parquet", "just text", "has no known shape"),
        ("a.txt", "just text", "is plain text of no known shape"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_named_with_what_was_expected(tmp_path, name, data, words):
    path = written(tmp_path / name, data)
    with pytest.raises(formats.Unreadable, match=f"^rows: {path}: ?{words}.*(expected|download)") as caught:
        list(formats.read(path, "rows", "rows"))
    assert "\n" not in str(caught.value)


def test_a_file_with_nothing_but_bad_rows_is_told_row_by_row(tmp_path):
    path = written(tmp_path / "rows.jsonl", '{\n\n{"x": 1}\n')
    assert both(path) == ([], [(1, "not_json"), (3, "unknown_shape")]) and formats.format_of(path) == "unknown"


def test_plain_text_and_source_files_are_documents(tmp_path):
    texts = {
        "a.rs": "#![allow(x)]\nfn main() {}\n",
        "b.toml": "[package]\nname = 'a'\n",
        "c.txt": "{not json}",
        "d": "x",
    }
    for name, text in texts.items():
        [document], aside = both(written(tmp_path / name, text), "documents")
        assert document["text"] == text and document["meta"] == {"path": name} and not aside
        assert name == "c.txt" or formats.format_of(tmp_path / name) == "text"
    assert both(written(tmp_path / "e.rs", b"fn a() {}\n// \xe9\n"), "documents") == ([], [(2, "not_utf8")])
    path = written(tmp_path / "f.jsonl", jsonl({"id": "a", "text": ODD}, {"content": "code"}, {"text": " "}, {"x": 1}))
    kept, aside = both(path, "documents")
    assert [each["text"] for each in kept] == [ODD, "code"] and aside == [(3, "blank_content"), (4, "unknown_shape")]


def test_ids_are_kept_or_made_of_the_content(tmp_path):
    """An id by line number moved all rows to another split when one was put before them."""
    path = tmp_path / "rows.jsonl"
    before, _ = both(written(path, jsonl(*ALPACA)))
    after, _ = both(written(path, jsonl({"id": 0, "instruction": "new", "output": "row"}, *ALPACA)))
    assert after[1:] == before and after[0]["id"] == "0" and len({row["id"] for row in before}) == 4


def test_the_files_of_a_folder(tmp_path):
    for name in ("b/rows.json", "a.csv", ".hidden", ".git/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path / name, jsonl(ALPACA[0]))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert formats.files([tmp_path]) == [tmp_path / "a.csv", tmp_path / "b" / "rows.json"]
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere; give a file of rows"):
        formats.files(tmp_path / "nowhere")
    with pytest.raises(formats.Unreadable, match="is a pipe or a device"):
        formats.files(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["hf://datasets/a/b", "hf://datasets/a/b@main", "hf:/datasets/a/b@0123abc/x.json"])
def test_a_data_set_of_the_hub_needs_a_pinned_revision(name):
    with pytest.raises(ValueError, match=r"IN: data set a/b: .*pin the commit, 40 hex digits"):
        formats.files(name)


def test_a_data_set_that_cannot_be_fetched_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"rows: data set a/b@01234567 could not be fetched \(.*HF_TOKEN") as caught:
        formats.files("hf://datasets/a/b@" + "01234567" * 5, "rows")
    assert "\n" not in str(caught.value)


def test_what_a_run_loads_says_what_was_set_aside(tmp_path, capsys):
    written(tmp_path / "a.jsonl", jsonl({"id": "a", "messages": [ASKED, ANSWERED]}) + "{broken\n")
    written(tmp_path / "b.jsonl", jsonl({"id": "a", "messages": [ASKED, ANSWERED]}))
    loaded = loading.load(tmp_path, "rows", "rows")
    assert len(loaded.records) == 1 and loaded.set_aside == {"duplicate_id": 1, "not_json": 1}
    words = "2 of 3 rows set aside (1 duplicate_id, 1 not_json)"
    line = capsys.readouterr().out
    assert line.startswith(f"rows: {tmp_path}: {words}; first: {tmp_path / 'a.jsonl'}:2: not JSON")
    assert line.count("\n") == 1
    with pytest.raises(ValueError, match=f"^rows: {tmp_path}/c:2: the record is cut off"):
        loading.load(written(tmp_path / "c", "\n{x"), "rows", "rows")
    with pytest.raises(ValueError, match=f"^rows: {tmp_path}/c is empty; it needs at least one"):
        loading.load(written(tmp_path / "c", "\ufeff\n"), "rows", "rows")


# --- whatever is in it ----------------------------------------------------------------------------------------


GOOD = [
    jsonl(*ALPACA).encode(),
    json.dumps(ALPACA, indent=1).encode(),
    b'prompt;answer\n"a\nb";c\nd;"e"\n',
    jsonl({"id": "a", "messages": [ASKED, CALL, {"role": "tool", "content": ""}, ANSWERED]}).encode(),
    jsonl(*ALPACA).encode("utf-16"),
    gzip.compress(jsonl(*ALPACA).encode(), mtime=0),
    pyarrow.compress(jsonl(*ALPACA).encode(), "zstd", asbytes=True),
]
NASTY = [
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xe9",
    b"\r",
    b"\xe2\x80\xa8",
    b'"',
    b"\\",
    b"{",
    b"]",
    b"[" * 300,
    b"\n",
]
_damage = st.tuples(st.integers(0, 600), st.integers(0, 20), st.one_of(st.sampled_from(NASTY), st.binary(max_size=9)))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.binary(max_size=400), st.sampled_from(GOOD)), st.lists(_damage, max_size=4), st.integers(0, 700))
@example(b"[", [], 700)
@example(b'{"', [], 700)
@example(b"\x28\xb5\x2f\xfd", [], 700)
def test_whatever_a_file_holds_is_kept_or_set_aside(tmp_path_factory, data, damages, cut):
    for place, gone, put in damages:
        data = data[:place] + put + data[place + gone :]
    path = written(tmp_path_factory.getbasetemp() / "any", data[:cut])
    for kind in ("rows", "documents", "tasks"):
        try:
            lines = [line.number for line, _ in formats.records(path, kind, "IN")]
            kept, aside = both(path, kind)
        except formats.Unreadable as error:
            assert "\n" not in str(error)
            continue
        assert len(lines) == len(kept) + len(aside)
        assert all(before <= after for before, after in pairwise(lines)), "in the order of the file"
        assert [row for row in kept if not json.dumps(row, ensure_ascii=False).encode()] == []
    with contextlib.suppress(formats.Unreadable):
        formats.format_of(path)


def test_a_line_of_ten_megabytes_and_one_that_is_too_long(tmp_path, monkeypatch):
    long = jsonl({"instruction": "q", "output": 'a"\\\n' * 2_500_000})
    path = written(tmp_path / "rows.jsonl", long + jsonl(ALPACA[0]))
    assert len(both(path)[0]) == 2 and both(written(path, "[" + long + "]"))[1] == []
    monkeypatch.setattr(content, "LONGEST", 1 << 20)
    kept, aside = both(written(path, long + jsonl(ALPACA[0])))
    assert len(kept) == 1 and aside == [(1, "too_long")]
