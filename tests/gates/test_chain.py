"""`chain`: whatever byte is flipped in whatever link, it is found, and the link is named."""

import random
import shutil

import pytest

from nbcore import gates, runs
from nbcore.cli.main import main
from nbcore.core import lines
from nbcore.runs import layout
from tests.gates import made
from tests.gates.test_integrity import row

KINDS = {
    "data": ["rows.jsonl"],
    "config": ["store/sft/*/config.yaml", "store/lang_adapter/*/config.yaml"],
    "adapter": ["store/sft/*/adapter/*", "store/lang_adapter/*/adapter/*"],
    "evaluation": ["store/evaluate/*/*.json*", "store/evaluate/*/config.yaml"],
    "blessing": ["store/blessings/*/*.json"],
    "base": ["base/*"],
    "executed notebook": ["store/sft/*/notebook.*"],
    "run record": ["store/sft/*/run.json", "store/sft/*/open.json", "store/sft/*/manifest.json"],
    "logs": ["store/sft/*/*.jsonl"],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder, run): a blessed chain on a base folder and a file of rows, with executed notebooks."""
    folder = tmp_path_factory.mktemp("whole")
    store, rows = folder / "store", folder / "rows.jsonl"
    lines.append(rows, *(row(number) for number in range(9)))
    base = made.base(folder / "base")
    first = made.trained(store, "lang_adapter", **{"model.base": str(base)})
    sft = made.trained(store, "sft", first, rows=str(rows))
    for run, outcome in ((first, made.worse), (sft, made.better)):
        made.evaluated(store, run, outcome, n=40)
        run.keep_notebook('{"cells": []}\n')
        gate = {"phase": run.phase, "integrity": ["weights_finite"], "eval_set": {"n_min": 40}}
        gates.decide(run, gates.load({**gate, "checks": [{"metric": "pass@1", "value": {"min": 0.1}}]}))
    return folder, sft


def test_a_whole_chain_reaches_the_base(whole):
    _, sft = whole
    links = gates.verify_chain(sft)
    assert gates.broken(links) == []
    assert {link.of for link in links} >= {sft.id, sft.parent.id}
    assert set(KINDS) <= {link.kind for link in links}
    assert all(link.state == "ok" for link in links if link.kind in KINDS and (link.kind, link.of) != ("data", ""))


def test_two_hundred_random_flips_are_found_and_named(whole):
    """One byte in any link: data, config, adapter, evaluation, blessing, base, executed notebook, the run's record."""
    folder, sft = whole
    draw, found = random.Random(13), {}
    for number in range(200):
        kind = list(KINDS)[number % len(KINDS)]
        path = draw.choice(sorted(path for pattern in KINDS[kind] for path in folder.glob(pattern)))
        content = path.read_bytes()
        at, bit = draw.randrange(len(content)), 1 << draw.randrange(8)
        path.chmod(0o644)
        path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
        try:
            named = {link.kind for link in gates.broken(gates.verify_chain(runs.Run(sft.path)))}
            assert kind in named, f"{path.name}: byte {at} flipped, told was {named}"
            found[kind] = found.get(kind, 0) + 1
        finally:
            path.write_bytes(content)
    assert sum(found.values()) == 200 and len(found) == len(KINDS)
    assert gates.broken(gates.verify_chain(runs.Run(sft.path))) == []


@pytest.mark.parametrize("space", [b"\t", b"\n", b"\r"])
def test_a_changed_space_in_a_record_is_a_changed_byte(whole, space):
    """JSON reads the same with another space, so the seal alone would not notice."""
    _, sft = whole
    for name in (layout.RUN, layout.OPENING, layout.NOTEBOOK_NOTE):
        path = sft.path / name
        content = path.read_bytes()
        try:
            path.write_bytes(content.replace(b" ", space, 1))
            assert gates.broken(gates.verify_chain(runs.Run(sft.path))), name
        finally:
            path.write_bytes(content)


@pytest.mark.parametrize(
    ("gone", "kind"),
    [
        ("rows.jsonl", "data"),
        ("base/tokenizer.json", "base"),
        ("store/lang_adapter", "parent"),
        ("store/evaluate", "eval"),
    ],
)
def test_a_link_that_is_gone_is_named(whole, tmp_path, gone, kind):
    folder, sft = whole
    shutil.move(folder / gone, tmp_path / "aside")
    try:
        bad = gates.broken(gates.verify_chain(runs.Run(sft.path)))
        assert bad and bad[0].kind.startswith(kind) and bad[0].state == "absent"
    finally:
        shutil.move(tmp_path / "aside", folder / gone)


def test_a_notebook_without_its_note_is_known_by_the_blessing(whole, tmp_path):
    """With the note gone, nothing else vouched for what stood in the notebook."""
    _, sft = whole
    path, note = sft.path / layout.NOTEBOOK, sft.path / layout.NOTEBOOK_NOTE
    content = path.read_bytes()
    note.rename(tmp_path / "note")
    try:
        path.write_text('{"cells": [1]}')
        assert {link.kind for link in gates.broken(gates.verify_chain(sft))} == {"executed notebook"}
    finally:
        path.write_bytes(content)
        (tmp_path / "note").rename(note)


def test_a_parents_blessing_that_is_gone_breaks_the_childs(whole, tmp_path):
    folder, sft = whole
    shutil.move(folder / "store/blessings/lang_adapter", tmp_path / "aside")
    try:
        assert "blessing" in {link.kind for link in gates.broken(gates.verify_chain(sft))}
    finally:
        shutil.move(tmp_path / "aside", folder / "store/blessings/lang_adapter")


@pytest.mark.parametrize("gone", ["blessings/sft", "blessings/lang_adapter", "blessings/aliases.json"])
def test_a_decision_that_was_deleted_is_a_broken_link(whole, tmp_path, capsys, gone):
    """Only what stood in a file was verified: with its blessing deleted, or the aliases, the chain was "all whole"."""
    folder, sft = whole
    shutil.move(folder / "store" / gone, tmp_path / "aside")
    try:
        assert main(["chain", sft.id, "--store", str(folder / "store")]) == 1
    finally:
        shutil.move(tmp_path / "aside", folder / "store" / gone)
    out, err = capsys.readouterr()
    of = sft.parent if gone.endswith("adapter") else sft
    assert f"absent  blessing           {of.id}" in out and err.count("\n") == 1
    assert "error: the chain is broken at the blessing of " in err and "judges the run anew" in " ".join(out.split())


def test_a_newest_decision_that_was_deleted_leaves_no_older_one_in_its_place(store):
    """With the FAIL taken away, the chain showed the PASS of before as the run's decision, and was whole."""
    _, sft = made.chain(store)
    gate = {"phase": "sft", "integrity": ["weights_finite"]}
    for least in (0.1, 0.9):
        gates.decide(sft, gates.load({**gate, "checks": [{"metric": "pass@1", "value": {"min": least}}]}))
    failed = gates.current(sft)
    path = layout.blessing(store, sft.id, failed["self"])
    path.unlink()
    (bad,) = gates.broken(gates.verify_chain(sft))
    assert (bad.kind, bad.state) == ("blessing", "absent")
    assert bad.what.startswith(f"FAIL {failed['self'][:12]} is not here, and sft@latest points to it; restore it, or")
    gates.decide(sft, gates.load({**gate, "checks": [{"metric": "pass@1", "value": {"min": 0.1}}]}))
    assert gates.broken(gates.verify_chain(sft)) == [], "the remedy is one"


def test_decisions_that_were_deleted_can_be_made_anew(store):
    """The gate verifies the chain too: what it misses there is what it is about to write."""
    first, sft = made.chain(store)
    integrity = {"integrity": ["weights_finite", "hashes_verified"]}
    plain = {"phase": "lang_adapter", "checks": [{"metric": "pass@1", "value": {"min": 0.1}}], **integrity}
    judged = ((first, gates.load(plain)), (sft, gates.load({**made.GATE, **integrity})))
    for run, gate in judged:
        gates.decide(run, gate)
    for path in layout.blessings(store):
        path.unlink()
    assert {link.of for link in gates.broken(gates.verify_chain(sft))} == {first.id, sft.id}
    assert [gates.decide(run, gate)[1]["verdict"] for run, gate in judged] == ["RUBBER_STAMP", "PASS"]
    assert gates.broken(gates.verify_chain(sft)) == []
    layout.blessing(store, first.id, gates.current(first)["self"]).unlink()
    for run, gate in judged:
        assert gates.opens(gates.decide(run, gate)[1])
    assert gates.broken(gates.verify_chain(sft)) == []


def test_the_command_names_the_broken_link(whole, capsys):
    folder, sft = whole
    arguments = ["--store", str(folder / "store")]
    assert main(["chain", "sft", *arguments]) == 0
    assert "all whole" in capsys.readouterr().out
    adapter = sft.path / "adapter" / "adapter_model.safetensors"
    content = adapter.read_bytes()
    try:
        adapter.write_bytes(content[:-1] + b"?")
        for reference in ("sft", sft.id, str(sft.path), sft.id[-12:]):
            assert main(["chain", reference, *arguments]) == 1
            out, err = capsys.readouterr()
            assert err.startswith(f"error: the chain is broken at the adapter of {sft.id}: adapter/adapter_model")
            assert err.count("\n") == 1 and "broken  adapter" in out
        assert main(["chain", runs.listing(folder / "store", "evaluate")[-1].id, *arguments]) == 1
        capsys.readouterr()
    finally:
        adapter.write_bytes(content)
    assert main(["chain", "nothing", *arguments]) == 2


def test_a_run_of_before_this_was_recorded_is_verified_as_far_as_it_goes(tmp_path, repo):
    shutil.copytree(repo / "tests" / "runs" / "old_store", tmp_path / "store")
    run = runs.find(tmp_path / "store", "lang_adapter")
    assert gates.broken(gates.verify_chain(run)) == []
