"""The data phase: sources to shards that training reads, every record accounted for, the same bytes each time."""

import gzip
import json
import shutil

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.data import shards
from nbcore.phases import data, lang_adapter, pretrain, sft
from nbcore.tasks import katas
from tests.phases.short_runs import same_losses, short, walk

RUST = "/// What {n} makes of its values.\npub fn f{n}(values: &[i64]) -> Vec<i64> {{\n    {body}\n}}\n"


def opened(store, **changes):
    changes = {"sources": {"katas": 24}, "heldout_documents": 6, **changes}
    return runs.open(configs.load("configs/data/tiny.yaml", changes), store)


def built(store, **changes):
    run = opened(store, **changes)
    data.data(run)
    data.build(run)
    return data.finish(run)


def report(run):
    return json.loads((run.path / "data/report.json").read_text())


def records(run, split="train"):
    return list(shards.Records(run.path / "data", split))


def contents(run):
    return {path.name: path.read_bytes() for path in sorted((run.path / "data").iterdir())}


@pytest.fixture
def own(tmp_path):
    """A folder as people have them: three formats, one gzipped, with bad rows, a copy, and an evaluation task."""
    folder = tmp_path / "own"
    folder.mkdir()
    alpaca = [{"instruction": f"Say {n}.", "output": f"It is {n * 7919}, in words of its own: {n}."} for n in range(40)]
    alpaca += [{"instruction": "Nothing.", "output": None}, {"instruction": "Say 3.", "output": alpaca[3]["output"]}]
    (folder / "alpaca.json").write_text(json.dumps(alpaca))
    chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because the borrow ends there."}]
    with gzip.open(folder / "chat.jsonl.gz", "wt") as file:
        file.write(json.dumps({"messages": chat}) + "\n{not json\n")
    task = katas.load("heldout")[0]
    messages = [{"role": "user", "content": task["prompt"]}, {"role": "assistant", "content": katas.code(task)}]
    (folder / "leaked.jsonl").write_text(json.dumps({"messages": messages}) + "\n")
    return folder


def test_every_record_is_accounted_for(tmp_path, own):
    """Rows that are left out in silence are found months later, or never."""
    run = built(tmp_path / "store", sources={str(own): {"kind": "rows"}}, copies="exact", decontaminate=True)
    told = report(run)
    assert told["read"] == 45 == told["kept"] + sum(told["set_aside"].values()) + sum(told["dropped"].values())
    assert sum(told["set_aside"].values()) == 2 and told["dropped"] == {"contaminated": 1, "duplicate": 1}, told
    aside = [json.loads(line) for line in (run.path / "data/set_aside.jsonl").read_text().splitlines()]
    assert {(row["file"].rpartition("/")[2], row["reason"]) for row in aside} == {
        ("alpaca.json", aside[0]["reason"]), ("chat.jsonl.gz", "not_json"),
    }  # fmt: skip
    hits = [json.loads(line) for line in (run.path / "data/hits.jsonl").read_text().splitlines()]
    assert hits and all(hit["text"] and hit["protected_text"] and hit["rule"] for hit in hits)
    assert len(records(run)) + len(records(run, "heldout")) == told["kept"] == run.info["metrics"]["kept"]


def test_a_second_build_is_byte_identical(tmp_path, own):
    """Two machines that build one config must train on the same rows in the same order."""
    changes = {"sources": {"katas": 24, str(own): {"kind": "rows"}}}
    first, second = (built(tmp_path / name, **changes) for name in "ab")
    assert contents(first) == contents(second) and first.info["data_hash"] == second.info["data_hash"]
    assert contents(built(tmp_path / "c", **changes, seed=1)) != contents(first)


@pytest.mark.parametrize("moment", ["hashing what was read", "splitting", "writing the heldout split"])
def test_a_killed_build_goes_on_and_leaves_nothing_half_done(tmp_path, own, monkeypatch, moment):
    """Half a shard that a later run accepts is worse than none."""
    changes = {"sources": {"katas": 24, str(own): {"kind": "rows"}}}
    whole = contents(built(tmp_path / "calm", **changes))
    run, told = opened(tmp_path / "store", **changes), []

    class Killed:
        def tell(self, doing):
            told.append(str(doing))
            if moment in str(doing):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.build(run, Killed())
    assert not (run.path / "data").exists()
    with pytest.raises(ValueError, match="nothing is built yet"):
        data.finish(run)
    again = opened(tmp_path / "store", **changes)
    assert again == run
    seen = []
    Killed.tell = lambda self, doing: seen.append(str(doing))
    data.build(again, Killed())
    assert sum("has been read before" in line for line in seen) == 2, seen
    assert contents(data.finish(again)) == whole


def test_training_from_a_data_run_is_what_it_was_without(tmp_path, golden):
    """The tiny pipeline begins with this phase, and its numbers are those of before."""
    store = tmp_path / "store"
    built(store, sources={"katas": 16}, heldout_documents=4)
    run = walk(lang_adapter, runs.open(short("lang_adapter", data_run="data"), store))
    same_losses(run, golden)
    alone = runs.open(short("lang_adapter"), tmp_path / "alone")
    assert lang_adapter.data(runs.open(run.config, store))["train"] == lang_adapter.data(alone)["train"]
    assert run.info["data_run"]["data"] == runs.find(store, "data").info["data_hash"]


def test_rows_of_a_data_run_are_fine_tuned_on(chain, tmp_path, own):
    store = shutil.copytree(chain, tmp_path / "store")
    built(store, sources={str(own): {"kind": "rows"}}, heldout_share=0.2)
    run = runs.open(short("sft", data_run="data"), store, "lang_adapter")
    seen = sft.data(run)
    assert seen["report"]["train"] + seen["report"]["validation"] == report(runs.find(store, "data"))["kept"]
    with pytest.raises(ValueError, match=r"data_run: .* has no documents"):
        pretrain.data(runs.open(short("pretrain", data_run="data"), store))


def test_a_sequential_mix_is_trained_in_its_order(tmp_path):
    store = tmp_path / "store"
    built(store, sources={"katas": 16, "files": 16}, mix={"mode": "sequential", "shuffle": False})
    read = [record["source"] for record in records(runs.find(store, "data"))]
    assert read == ["katas"] * 16 + ["files"] * 16
    rows = lang_adapter.data(runs.open(short("lang_adapter", data_run="data"), store))
    trained = [rows["tokenizer"].decode(row["input_ids"], skip_special_tokens=True) for row in rows["train"][:16]]
    assert trained == [record["text"] for record in records(runs.find(store, "data"))[:16]]


def test_other_data_under_the_same_name_is_noticed_on_resume(tmp_path, own):
    """A run that goes on with other rows than it began with is two runs that look like one."""
    store = tmp_path / "store"
    first = built(store)
    run = runs.open(short("lang_adapter", data_run=first.id), store)
    shard = next((first.path / "data").glob("train-*.arrow"))
    shard.write_bytes(shard.read_bytes()[:-9] + b"\0" * 9)
    with pytest.raises(ValueError, match=first.id):
        lang_adapter.data(runs.open(short("lang_adapter", data_run=first.id), store))
    assert run.info["data_run"]["id"] == first.id


def test_a_shard_that_is_missing_or_cut_is_named(tmp_path):
    run = built(tmp_path)
    shard = next((run.path / "data").glob("train-*.arrow"))
    raw = shard.read_bytes()
    for damage in (raw[:-50], raw[: len(raw) // 2], b""):
        shard.write_bytes(damage)
        with pytest.raises(ValueError, match=shard.name):
            records(run)
    shard.unlink()
    with pytest.raises(ValueError, match=shard.name):
        records(run)


def test_shards_hold_any_number_of_records_and_all_of_their_fields(tmp_path, monkeypatch):
    """Fields that a table has no column for came back missing, or as null."""
    monkeypatch.setattr(shards, "BATCH_BYTES", 2000)
    messages = [{"role": "user", "content": "a\u2028b\0"}, {"role": "assistant", "content": "\ud83e", "tool_calls": []}]
    meta = {"licence": "MIT", "tags": ["test"], "n": 1, "deep": {"x": [None]}}
    rows = [{"id": f"r{n}", "kind": "row", "source": "s", "messages": messages, "meta": meta} for n in range(100)]
    written = shards.write(tmp_path, "train", iter(rows), 3000)
    shards.seal(tmp_path, written)
    back = shards.Records(tmp_path, "train")
    assert len(written) == 4 and list(back) == rows and [back[n] for n in range(100)] == rows


def test_files_of_a_repository_stand_in_one_split(tmp_path):
    """A file beside one that was trained on is no measure of what was learnt."""
    crates = tmp_path / "crates"
    for name in ("one", "two", "three", "four"):
        folder = crates / name / "src"
        folder.mkdir(parents=True)
        (folder.parent / "Cargo.toml").write_text(f'[package]\nname = "{name}"\nversion = "1.0.0"\nlicense = "MIT"\n')
        for n in range(4):
            body = f"let {name}_{n} = values.iter().map(|v| v * {n} + {len(name)}).sum::<i64>(); vec![{name}_{n}; {n}]"
            (folder / f"f{n}.rs").write_text(RUST.format(n=f"{name}{n}", body=body))
    run = built(
        tmp_path / "store", split_by="repository", heldout_share=0.4, copies="exact", filters={},
        sources={str(crates): {"kind": "crates"}},
    )  # fmt: skip
    assert report(run)["licences"] == {"MIT": 16}, report(run)
    repos = [{record["meta"]["repo"] for record in records(run, split)} for split in ("train", "heldout")]
    assert not repos[0] & repos[1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sources": {"nowhere.jsonl": {}}}, "nowhere.jsonl"),
        ({"sources": {"hf://datasets/a/b": {}}}, "names no commit"),
        ({"sources": {"katas": {}}}, "has no end"),
        ({"sources": {"katas": 5, "x.txt": {"access": "streaming"}}}, "for data sets of the Hub"),
        ({"sources": {"katas": 5}, "mix": {"general_share": 0.5}}, "set mode: weighted"),
        ({"model.base": "x"}, "loads no model"),
        ({"shard_mb": 0}, "shard_mb"),
        ({"mix": {"mode": "random"}}, "mix.mode"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(tmp_path, changes, says):
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        run = opened(tmp_path, **changes)
        data.data(run)
        data.build(run)


def test_a_data_run_is_nobodys_parent_and_has_none(tmp_path):
    run = built(tmp_path)
    with pytest.raises(ValueError, match="name it in data_run"):
        runs.open(short("sft"), tmp_path, run.id)
    runs.open(short("lang_adapter"), tmp_path).finish({"loss": 1.0}, base="seedling")
    with pytest.raises(ValueError, match="holds no data to read"):
        runs.open(short("lang_adapter", data_run="lang_adapter"), tmp_path)
