"""`audit`: numbers of a text and of a store recomputed from records, and the README's own held to those that ship."""

import gzip
import json
import shutil

import pytest

from nbcore import config as configs
from nbcore import gates, runs
from nbcore.cli.main import main
from nbcore.core.environment import REPO
from nbcore.report import audit, claims, records
from nbcore.runs import commit, layout
from tests import fake_store
from tests.gates import made


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A copy of the README beside a copy of the shipped records."""
    folder = tmp_path_factory.mktemp("text")
    shutil.copytree(REPO / "docs" / "records", folder / "docs" / "records")
    return shutil.copy(REPO / "README.md", folder / "README.md")


def test_no_number_of_the_readme_differs_from_the_shipped_records():
    stamps = audit.text(REPO / "README.md")
    assert [each.line() for each in stamps if each.state == audit.DIFFERS] == []
    assert sum(each.state == audit.VERIFIED for each in stamps) >= 20


@pytest.mark.parametrize(
    ("was", "now", "number"),
    [
        ("71 % [66–76]", "72 % [66–76]", "GRPO pass@1 72 %"),
        ("71 % [66–76]", "71 % [67–76]", "GRPO pass@1 71 % [67–76]"),
        ("+13.3 pp", "+13.4 pp", "GRPO Δ pass@1 +13.4 pp"),
        ("0.134", "0.034", "adapter p 0.034"),
        ("2.540", "2.440", "GRPO perplexity 2.440"),
    ],
)
def test_a_changed_number_is_exit_1_with_what_it_should_be(text, tmp_path, was, now, number, capsys):
    copy = text.with_name("changed.md")
    copy.write_text(text.read_text().replace(was, now, 1))
    assert main(["audit", str(copy)]) == 1
    out, err = capsys.readouterr()
    line = next(line for line in out.splitlines() if line.startswith("differs"))
    assert number in line and f"recomputed {was}" in line and "tiny.jsonl.gz, n " in line and "seed 0" in line
    assert err.startswith("error: 1 of ") and err.count("\n") == 1


def test_a_number_names_its_record_or_is_unsupported(text, tmp_path, capsys):
    path = text.with_name("claims.md")
    path.write_text(
        "GRPO solves 71 % <!-- audit docs/records/tiny.jsonl.gz GRPO pass@1 -->, not 70 %.\n"
        "Perplexity 2.540<!-- audit docs/records/tiny.jsonl.gz GRPO perplexity -->,"
        " 58.0 % <!-- audit docs/records/tiny.jsonl.gz IPO compile_rate -->.\n"
        "12 % <!-- audit no.jsonl.gz GRPO pass@1 -->, 13 % <!-- audit docs/records/tiny.jsonl.gz GPT pass@1 -->\n"
        "The 95 % interval is no result; p < 0.001 and +4.2 pp are.\n"
    )
    stamps = audit.text(path)
    assert [each.state for each in stamps] == [
        *("verified", "unsupported", "verified", "differs"),
        *["unsupported"] * 4,
    ]
    assert stamps[3].now == "83.0" and "no file no.jsonl.gz" in stamps[4].artefact and stamps[0].where == "claims.md:1"
    path.write_text("It is 71 %.\n")
    assert main(["audit", str(path)]) == 0 and main(["audit", str(path), "--strict"]) == 1
    capsys.readouterr()


def test_records_that_are_none_are_refused(tmp_path):
    for content in (
        b"",
        b"text",
        gzip.compress(b"{}\n", mtime=0),
        gzip.compress(b'{"models": [{"model": "a"}]}\n{"model": "b"}', mtime=0),
    ):
        path = tmp_path / "x.jsonl.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="holds no records"):
            records.read(path)


def test_records_of_a_store_say_what_its_report_says(tmp_path, capsys):
    store = fake_store.make(tmp_path / "store", ("base", "lang_adapter", "sft"), 60, 20)
    kept = tmp_path / "docs" / "records" / "mine.jsonl.gz"
    assert main(["audit", str(store), "--keep", str(kept)]) == 0
    once = kept.read_bytes()
    records.write(store, kept)
    assert kept.read_bytes() == once, "equal evaluations, equal bytes"
    assert main(["audit", str(store)]) == 0
    out = capsys.readouterr().out
    assert "heldout pass@1" in out and "n 60, seed 0" in out


def recorded(store, run, **changed):
    info = {name: value for name, value in run.info.items() if name != "manifest"}
    metrics = json.loads(json.dumps(info["metrics"]))
    metrics["heldout"]["pass@1"] |= changed
    commit.commit(run.path, layout.RUN, {**info, "metrics": metrics}, without=layout.OUTSIDE)


@pytest.mark.parametrize("field", ["value", "low", "high", "n"])
def test_a_rate_that_its_answers_do_not_give_differs(store, field, capsys):
    """Sealed anew, such a run verifies: only its own answers tell."""
    made.chain(store)
    run = runs.listing(store, "evaluate")[0]
    recorded(store, run, **{field: 301 if field == "n" else 0.5})
    assert runs.Run(run.path).verify() == []
    assert main(["audit", str(store)]) == 1
    out, err = capsys.readouterr()
    assert any(line.startswith("differs") and "pass@1" in line for line in out.splitlines()) and run.id in err


def test_several_samples_and_decisions_of_gates_are_recomputed(store, capsys):
    _, sft = made.chain(store)
    gates.decide(sft, gates.load({**made.GATE, "integrity": ["weights_finite"]}))
    config = configs.load({"phase": "evaluate", "name": "many", "samples": 2, "generation": {"temperature": 1.0}})
    made.evaluated(
        store, sft, made.better, config=config, change=lambda row: {**row, "id": f"t{int(row['id'][1:]) // 2}"}
    )
    stamps = audit.store(store)
    decided = [each for each in stamps if "gate of" in each.artefact]
    assert len(decided) == 2 and all(each.state == "verified" for each in decided)
    damaged = runs.listing(store, "evaluate")[0]
    (damaged.path / layout.SAMPLES).write_text("{}\n")
    states = {each.where: each.state for each in audit.store(store)}
    assert states[damaged.id] == "differs" and "unsupported" in {each.state for each in audit.store(store)}


@pytest.mark.parametrize("what", ["evaluate/*/samples.jsonl", "evaluate/*/run.json", "blessings/sft/*.json"])
def test_a_record_that_was_changed_by_hand_differs(store, capsys, what):
    """It was unsupported, as a number without a record is, and the command's exit code was that of a good store."""
    _, sft = made.chain(store)
    gates.decide(sft, gates.load({**made.GATE, "integrity": ["weights_finite"]}))
    path = sorted(store.glob(what))[-1]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"0.7" if path.name != layout.SAMPLES else b"true", b"0.9", 1))
    of = {each.where: each for each in audit.store(store)}[
        path.name if "blessings" in what else f"evaluate/{path.parent.name}"
    ]
    assert of.state == "differs" and "recomputed" not in of.line()
    assert main(["audit", str(store)]) == 1 and capsys.readouterr().err.count("\n") == 1


def test_a_folder_with_nothing_to_audit_is_told(store, capsys):
    """0 verified and 0 differ, with exit code 0, after a typing error in the folder's name."""
    assert main(["audit", str(store)]) == 2
    assert "holds no finished evaluation" in capsys.readouterr().err


def test_what_cannot_be_audited_is_2(tmp_path, capsys):
    assert main(["audit", str(tmp_path / "no.md")]) == 2
    assert main(["audit", str(REPO / "README.md"), "--keep", str(tmp_path / "x")]) == 2
    assert main(["audit", "--help"]) == 0
    assert "Example: python -m nbcore audit README.md" in capsys.readouterr().out


def test_no_digit_of_a_recomputed_number_can_be_changed_unnoticed(text):
    """Each digit of the table and of each marked number, one at a time: never verified, never out of sight."""
    whole = text.read_text()
    copy = text.with_name("digit.md")
    lines = whole.splitlines(keepends=True)
    stamped = {each.where for each in audit.text(text)}
    changed = 0
    for number, line in enumerate(lines):
        if f"{text.name}:{number + 1}" not in stamped:
            continue
        marked = {at for match in claims.CLAIM.finditer(line) for at in range(match.start(1), match.end(1))}
        for at, char in enumerate(line):
            if not char.isdecimal() or not (line.startswith("     ") or at in marked):
                continue
            other = line[:at] + str((int(char) + 1) % 10) + line[at + 1 :]
            copy.write_text("".join([*lines[:number], other, *lines[number + 1 :]]))
            states = [each.state for each in audit.text(copy) if each.where == f"digit.md:{number + 1}"]
            assert set(states) - {audit.VERIFIED}, other
            changed += 1
    assert changed > 100


@pytest.mark.parametrize(
    "line",
    [
        "It solves 1,071 % <!-- audit docs/records/tiny.jsonl.gz GRPO pass@1 --> of them.",
        "It solves 171 % <!-- audit docs/records/tiny.jsonl.gz GRPO pass@1 --> of them.",
        "It solves -71 % <!-- audit docs/records/tiny.jsonl.gz GRPO pass@1 --> of them.",
        "It solves 71 <!-- audit docs/records/tiny.jsonl.gz GRPO pass@1 --> of them.",
        "It solves most <!-- audit docs/records/tiny.jsonl.gz GRPO pass@1 --> of them.",
        "It solves 71 % <!-- audit docs/records/tiny.jsonl.gz GRPO passed --> of them.",
        "It solves 71, 70 and 76 % of them.",
        "It solves 71 percent of them.",
        "GRPO solves 95 %",
        "It compiles at 95 %.",
        "The gain has p 4e-07.",
        "     GRPO     87 % [83–91]  71 % [66–76]  +13.3 pp  < 0.001   2 % [0–9]  2.540",
    ],
)
def test_ways_around_the_audit_are_closed(text, line):
    """Each of these was verified, or not seen at all: a part of a number, another unit, a table without its head."""
    path = text.with_name("around.md")
    path.write_text(f"{line}\n")
    stamps = audit.text(path)
    assert stamps and all(each.state != audit.VERIFIED for each in stamps), stamps


def test_a_row_that_is_no_row_of_the_table_is_seen(text):
    path = text.with_name("row.md")
    path.write_text(text.read_text().replace("71 % [66–76]", "79 %  [66–76]", 1))
    assert any("8 cells" in each.artefact and each.state == "unsupported" for each in audit.text(path))
    head = "     phase    compile rate        pass@1         Δ        p      unseen    ppl"
    assert head in text.read_text()
    path.write_text(text.read_text().replace(head, head.replace("unseen    ppl", "ppl    unseen"), 1))
    assert not any(each.state == audit.VERIFIED for each in audit.text(path) if "compile rate" in each.number)


def test_numbers_of_a_json_record(text):
    path = text.with_name("json.md")
    record = {"n": 7, "rate": {"value": 0.1974, "n": 1647}, "name": "x", "yes": True}
    text.with_name("record.json").write_text(json.dumps(record))
    marks = [("19.7 %", "rate value"), ("7", "- n"), ("19.8 %", "rate value"), ("1", "- yes"), ("1", "- name")]
    path.write_text("".join(f"{said} <!-- audit record.json {key} -->\n" for said, key in marks))
    assert [each.state for each in audit.text(path)] == ["verified"] * 2 + ["differs"] + ["unsupported"] * 2


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "README.md"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"README\.md is no text in UTF-8"):
        audit.text(path)
