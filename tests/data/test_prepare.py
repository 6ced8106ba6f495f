"""`data prepare`: every row is accounted for, the result appears at once, and no split holds a copy of another."""

import json
import multiprocessing
import os
import signal

import pytest

from nbcore.config import load
from nbcore.data import sources
from nbcore.data.prepare import prepare
from nbcore.data.synth import synth

OURS = ["card.md", "dropped.jsonl", "report.json", "set_aside.jsonl", "test.jsonl", "train.jsonl", "validation.jsonl"]


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def written(out):
    return [row for split in ("train", "validation", "test") for row in lines(out / f"{split}.jsonl")]


def row(identity, question, answer="fn f() {}"):
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": identity, "messages": turns}


def write(path, *rows):
    path.write_text("".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in rows), "utf-8")
    return path


def adds_up(report):
    for counts in (report, *report["files"].values()):
        assert counts["read"] == counts["kept"] + counts["set_aside"] + sum(counts["dropped"].values())
    for name in ("read", "kept", "set_aside"):
        assert report[name] == sum(counts[name] for counts in report["files"].values())
    assert sum(report["splits"].values()) == report["kept"]
    return report


@pytest.fixture
def katas(tmp_path):
    synth(40, tmp_path / "katas.json", "alpaca")
    return tmp_path / "katas.json"


def test_alpaca_becomes_rows_that_sft_reads(katas, tmp_path):
    out = tmp_path / "out"
    told = []
    report = adds_up(prepare([katas], out, tell=lambda *words: told.append(words)))
    assert sorted(path.name for path in out.iterdir()) == OURS and told
    assert report == json.loads((out / "report.json").read_text())
    assert report["files"][str(katas)]["format"] == "alpaca" and report["read"] == 40
    config = load("configs/sft/tiny.yaml", {"rows": str(out / "train.jsonl")})
    assert len(sources.rows(config.rows, None, 0)) == report["splits"]["train"] > 0


def test_the_same_rows_give_the_same_bytes(katas, tmp_path):
    for name in ("a", "b"):
        prepare([katas], tmp_path / name)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in OURS)


def test_bad_rows_copies_and_reused_ids_are_told_apart(tmp_path):
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    write(first, row("a", "sort a list of names"), "{broken\n", row("b", "add two numbers"))
    write(second, row("c", "sort  a list of names\n"), row("a", "reverse a string, in place"))
    report = adds_up(prepare([first, second], tmp_path / "out"))
    assert (report["kept"], report["set_aside"], report["dropped"]) == (2, 2, {"duplicate": 1})
    aside = lines(tmp_path / "out" / "set_aside.jsonl")
    assert [(each["file"], each["line"]) for each in aside] == [(str(first), 2), (str(second), None)]
    assert aside[1]["reason"] == "duplicate_id" and set(aside[0]) == {"file", "line", "reason", "text"}
    [copy] = lines(tmp_path / "out" / "dropped.jsonl")
    assert (copy["id"], copy["copy_of"], copy["reason"]) == ("c", "a", "duplicate")


def test_a_file_given_twice_is_read_once_and_a_copy_of_it_is_all_duplicates(katas, tmp_path):
    report = adds_up(prepare([katas, tmp_path / "." / "katas.json", katas.parent], tmp_path / "out"))
    assert list(report["files"]) == [str(katas)] and report["kept"] == 40
    copy = tmp_path / "copy.json"
    copy.write_bytes(katas.read_bytes())
    report = adds_up(prepare([katas, copy], tmp_path / "out"))
    assert report["dropped"] == {"duplicate": 40} and report["files"][str(copy)]["kept"] == 0


def test_one_unreadable_file_among_good_ones_is_named_and_the_rest_goes_on(katas, tmp_path):
    (tmp_path / "picture.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    report = adds_up(prepare([tmp_path], tmp_path / "out"))
    assert report["kept"] == 40 and report["set_aside"] == 1
    [aside] = lines(tmp_path / "out" / "set_aside.jsonl")
    assert aside["file"] == str(tmp_path / "picture.jsonl") and aside["reason"] == "unreadable"


def test_out_inside_in_is_not_read_again(katas, tmp_path):
    """The second time the rows would all have been copies of the first result, and its report bad rows."""
    for _ in range(2):
        report = adds_up(prepare([tmp_path], tmp_path / "out"))
        assert list(report["files"]) == [str(katas)] and report["kept"] == 40
    with pytest.raises(ValueError, match=r"IN: .* lies in --out"):
        prepare([tmp_path / "out" / "train.jsonl"], tmp_path / "out")


def test_near_copies_and_answers_to_one_question_stand_in_one_split(tmp_path):
    text = (
        "Write a function that walks over all the words of a text, counts each and returns the {} most frequent of them"
    )
    rows = []
    for number in range(30):
        subject = " ".join(f"word{number}x{k}" for k in range(30))
        rows += [row(f"near{number}-{k}", f"{subject} {text.format(k)}", f"fn f{number}() {{}}") for k in range(2)]
        rows += [row(f"same{number}-{k}", f"question {subject}", f"fn g{number}() {{ {k} }}") for k in range(2)]
    prepare([write(tmp_path / "rows.jsonl", *rows)], tmp_path / "out", (0.4, 0.3, 0.3))
    place = {
        each["id"]: split
        for split in ("train", "validation", "test")
        for each in lines(tmp_path / "out" / f"{split}.jsonl")
    }
    assert set(place.values()) == {"train", "validation", "test"} and len(place) == 120
    for kind in ("near", "same"):
        assert all(place[f"{kind}{number}-0"] == place[f"{kind}{number}-1"] for number in range(30))


def test_where_every_row_is_bad_one_error_says_so_and_a_good_result_stays(katas, tmp_path):
    bad = write(tmp_path / "bad.jsonl", "{\n", '{"x": 1}\n')
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"IN: not one usable row among 2 in 1 file \(.*bad.jsonl"):
        prepare([bad], out)
    assert not (out / "train.jsonl").exists() and len(lines(out / "set_aside.jsonl")) == 2
    prepare([katas], out)
    before = (out / "report.json").read_bytes()
    with pytest.raises(ValueError, match="not one usable row"):
        prepare([bad], out)
    assert (out / "report.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "katas.json", "out"]


def test_out_with_something_else_in_it_is_refused_and_left_alone(katas, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    prepare([katas], out)  # an empty folder is as good as none
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"--out: .* holds 'notes.txt'"):
        prepare([katas], out)
    assert (out / "notes.txt").read_text() == "mine"
    for other in (katas, tmp_path / "katas.json" / "below"):
        with pytest.raises(ValueError, match=r"^--out: "):
            prepare([katas], other)
    (tmp_path / "foreign").mkdir()
    write(tmp_path / "foreign" / "train.jsonl", "precious\n")
    with pytest.raises(ValueError, match=r"--out: .* holds 'train.jsonl'"):
        prepare([katas], tmp_path / "foreign")


def _stopped_while_writing(katas, out):
    prepare([katas], out, tell=lambda words, *_: os.kill(os.getpid(), signal.SIGKILL) if words == "writing" else None)


def test_a_killed_prepare_leaves_nothing_that_looks_finished_and_the_next_one_starts_clean(katas, tmp_path):
    out = tmp_path / "out"
    process = multiprocessing.get_context("fork").Process(target=_stopped_while_writing, args=(katas, out))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL and not out.exists()
    report = adds_up(prepare([tmp_path], out))
    assert list(report["files"]) == [str(katas)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["katas.json", "out"]


def test_ctrl_c_leaves_the_earlier_result_as_it_was(katas, tmp_path):
    out = tmp_path / "out"
    prepare([katas], out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def stop(words, *_):
        if words == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare([katas], out, seed=1, tell=stop)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["katas.json", "out"]


def test_two_at_once_into_one_folder_are_kept_apart(katas, tmp_path):
    def another(words, *_):
        if words == "writing":
            with pytest.raises(ValueError, match="another process is preparing"):
                prepare([katas], tmp_path / "out")

    adds_up(prepare([katas], tmp_path / "out", tell=another))


def test_what_a_file_says_cannot_write_markup_into_the_card(tmp_path):
    hostile = "<script>x</script> | [a](http://evil.example) `b` \x1b[2J ![i](x) \u202e # h"
    path = write(tmp_path / "<b>rows|x.jsonl", hostile + "\n", row("a", "q"))
    prepare([path], tmp_path / "out")
    card = (tmp_path / "out" / "card.md").read_text("utf-8")
    assert "<script" not in card and "<b>" not in card and "\x1b" not in card and "\u202e" not in card
    assert "://" not in card and "&lt;script" in card and r"\|" in card


def test_a_split_of_a_tiny_input_may_be_empty_and_is_a_file_all_the_same(tmp_path):
    report = adds_up(prepare([write(tmp_path / "one.jsonl", row("a", "q"))], tmp_path / "out", (1, 0, 0)))
    assert report["splits"] == {"train": 1, "validation": 0, "test": 0}
    assert (tmp_path / "out" / "test.jsonl").read_bytes() == b""


def test_half_a_surrogate_pair_in_meta_is_written_as_it_came(tmp_path):
    odd = row("a", "q") | {"meta": {"note": "\ud800"}}
    prepare([write(tmp_path / "odd.jsonl", odd)], tmp_path / "out", (1, 0, 0))
    [kept] = lines(tmp_path / "out" / "train.jsonl")
    assert kept["messages"] == odd["messages"]


@pytest.mark.slow
def test_memory_holds_no_text(tmp_path):
    """A spool that kept its rows would grow with the file."""
    import tracemalloc

    def peak(count):
        rows = (row(f"r{n}", f"question {n}", f"{n} " * 2000) for n in range(count))
        path = write(tmp_path / f"{count}.jsonl", *rows)
        tracemalloc.start()
        prepare([path], tmp_path / f"out{count}")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    prepare([write(tmp_path / "first.jsonl", row("a", "q"))], tmp_path / "out")  # what is loaded once is not counted
    small, large = peak(5), peak(50)
    assert large < 3 * small + 2**18, (small, large)
