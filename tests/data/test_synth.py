"""`data synth`: rows of the training katas in the formats that people bring."""

import csv
import json

import pytest

from nbcore.data.synth import FORMATS, synth
from nbcore.tasks import katas


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path, format):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert synth(20, tmp_path / name, format, seed) == 20
    first, second, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second != other


def test_each_format_has_the_fields_that_its_name_promises(tmp_path):
    for format in FORMATS:
        synth(5, tmp_path / format, format)
    synth(5, tmp_path / "list.json", "alpaca")
    listed = json.loads((tmp_path / "list.json").read_text())
    alpaca = [json.loads(line) for line in (tmp_path / "alpaca").read_text().split("\n") if line]
    assert alpaca == listed and set(alpaca[0]) == {"instruction", "input", "output"}
    sharegpt = json.loads((tmp_path / "sharegpt").read_text().split("\n")[0])
    assert [turn["from"] for turn in sharegpt["conversations"]] == ["human", "gpt"]
    with (tmp_path / "csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["instruction"], row["output"]) for row in rows] == [
        (row["instruction"], row["output"]) for row in alpaca
    ]


def test_rows_come_from_training_compositions_alone(tmp_path):
    """A row of a held-out composition would make every evaluation after it worthless."""
    synth(50, tmp_path / "rows.jsonl")
    ids = {json.loads(line)["id"] for line in (tmp_path / "rows.jsonl").read_text().split("\n") if line}
    assert len(ids) == 50 and ids < {task["id"] for task in katas.load("train")}


def test_more_rows_than_are_shipped_are_drawn_anew(tmp_path):
    shipped = len(katas.load("train"))
    for count in (shipped, shipped + 100):
        assert synth(count, tmp_path / str(count)) == count
        ids = [json.loads(line)["id"] for line in (tmp_path / str(count)).read_text().split("\n") if line]
        assert len(set(ids)) == len(ids) == count


def test_what_cannot_be_asked_for_is_refused_and_a_file_of_ones_own_is_kept(tmp_path):
    own = tmp_path / "own.jsonl"
    own.write_text("precious\n")
    for told, arguments in (
        ("count", (0, tmp_path / "x")),
        ("format", (1, tmp_path / "x", "parquet")),
        ("is there already", (1, own)),
        ("no file in a folder", (1, tmp_path)),
        ("no file in a folder", (1, tmp_path / "no" / "x")),
        ("plain text", (1, tmp_path / "x.jsonl.gz")),
    ):
        with pytest.raises(ValueError, match=told):
            synth(*arguments)
    assert own.read_text() == "precious\n" and [path.name for path in tmp_path.iterdir()] == ["own.jsonl"]
