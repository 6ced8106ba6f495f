"""YAML as a person reads it: numbers, doubled keys, files that are not UTF-8."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nbcore.core import plain_yaml

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),  # YAML 1.1: 8
        ("-010", -10),
        ("00", 0),
        ("09", 9),  # YAML 1.1: text
        ("1_000", 1000),
        ("+5", 5),
        ("0x10", 16),
        ("0b11", 3),
        ("1:30", "1:30"),  # YAML 1.1: 90
        ("12:30:45.5", "12:30:45.5"),
        ("0o10", "0o10"),
        ("1e-4", 1e-4),  # YAML 1.1: text
        ("1.5e3", 1500.0),
        ("5E2", 500.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("1_0.5", 10.5),
        (".inf", float("inf")),
        ("1__0", "1__0"),
        ("1,000", "1,000"),
        ("1.2.3", "1.2.3"),
        ("2024-01-01", "2024-01-01"),  # YAML 1.1: a date
        ("abc", "abc"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'010'", "010"),
        ("[010, {a: 1e3}]", [10, {"a": 1000.0}]),
    ],
)
def test_a_value_is_what_a_person_reads(text, value):
    """max_steps: 010 trained for 8 steps."""
    read = plain_yaml.parse(text)
    assert read == value and type(read) is type(value)


@given(PLAIN)
def test_what_is_written_reads_back(value):
    """Text that this reader takes for a number, such as 1e4, must be written with quotes."""
    assert plain_yaml.parse(plain_yaml.dump(value)) == value
    if not isinstance(value, str) or value.strip():
        assert plain_yaml.parse(plain_yaml.dump_line(value)) == value


@given(st.from_regex(r"[-+]?[0-9._:eExo]{1,8}", fullmatch=True))
def test_text_that_looks_like_a_number_stays_text_for_any_reader(text):
    """papermill, and the versions before this one, read what is written here by the rules of YAML 1.1."""
    written = plain_yaml.dump({"a": text})
    assert plain_yaml.parse(written) == yaml.safe_load(written) == {"a": text}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", ["'a'", "lines 1 and 3"]),
        ("x:\n  a: 1\n  'a': 1\n", ["'a'", "lines 2 and 3"]),
        ("{a: 1, b: {c: 1, c: 2}}", ["'c'", "lines 1 and 1"]),
        ("a: [1", ["not YAML", "line 1"]),
        ("a:\n\t- 1", ["not YAML", "line 2"]),
        ("a: !!int x", ["invalid literal"]),
        ("a: !!python/object:os.system x", ["not YAML"]),
        ("a: 1\n---\nb: 2\n", ["not YAML"]),
    ],
)
def test_what_is_wrong_is_one_line(text, words):
    """Of a key that stood twice the last one counted, and nobody was told."""
    with pytest.raises(ValueError) as caught:
        plain_yaml.parse(text)
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), str(caught.value)


def test_a_merged_key_is_no_doubled_one():
    """`<<` is how YAML says "the same, but": what stands beside it is meant to differ."""
    assert plain_yaml.parse("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_that_is_not_utf_8_is_named_with_the_remedy(tmp_path, encoding):
    """Editors on Windows still write these, and 'utf-8 codec can't decode' names no file."""
    path = tmp_path / "a.yaml"
    path.write_bytes("name: für\n".encode(encoding))
    with pytest.raises(ValueError, match=r"a\.yaml: not UTF-8 .*; save the file as UTF-8$"):
        plain_yaml.read(path)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    """Windows puts one in front of UTF-8 too."""
    path = tmp_path / "a.yaml"
    path.write_bytes("name: für\n".encode("utf-8-sig"))
    assert plain_yaml.read(path) == {"name": "für"}


def test_no_other_module_reads_yaml():
    """A second reader would read a second meaning."""
    readers = [path for path in Path("nbcore").rglob("*.py") if "safe_load" in path.read_text("utf-8")]
    assert readers == []
