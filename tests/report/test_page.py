"""The report: self-contained, inert, every number from a run, and silent about phases that are not there."""

import io
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from nbcore import report, runs
from nbcore.report import chains, lineage, profiles
from nbcore.runs import commit
from nbcore.stats import paired
from tests import fake_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fake_store.make(tmp_path_factory.mktemp("store"), heldout=80, unseen=20)


@pytest.fixture(scope="module")
def page(store):
    return report.build(store).read_text("utf-8")


class Page(HTMLParser):
    VOID = ("meta", "img", "br", "path", "use", "rect")

    def __init__(self, markup):
        super().__init__()
        self.tags, self.links, self.open, self.text = [], [], [], ""
        self.feed(markup)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.open += [tag] if tag not in self.VOID else []

    def handle_data(self, data):
        self.text += data

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_is_well_formed_self_contained_and_without_scripts(page):
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    assert all(link.startswith("#") for link in parsed.links)
    assert "@import" not in page and "url(http" not in page
    assert "<script>" in parsed.text and "<b>bold</b>" in parsed.text  # the fake models write tags: shown, not obeyed


def test_headline_numbers_are_those_of_the_runs(store, page):
    stages = chains.chain(store)
    assert [stage.label for stage in stages] == ["base", "adapter", "SFT", "IPO", "GRPO"]
    first, last = (f"{100 * stage.metrics['heldout']['pass@1']['value']:.0f} %" for stage in (stages[0], stages[-1]))
    assert f"pass@1 on 80 held-out tasks: {first} → {last}; compile rate" in lineage.summary(stages)
    assert f"{first} → {last}".replace(" %", "&nbsp;%") in page
    for stage in stages[1:]:
        assert stage.run.id in page and stage.evaluation.id in page
        assert stage.run.info["data_hash"][:12] in page


def test_page_repeats_byte_for_byte_and_goes_where_it_is_told(store, page, tmp_path):
    assert report.build(store, tmp_path / "new" / "r.html").read_text("utf-8") == page


def test_page_names_no_folder_of_this_machine(store, page):
    assert str(store) not in page


def test_programs_are_chosen_by_the_stated_rule(store):
    stages = chains.chain(store)
    answers = [{row["id"]: row for row in s.evaluation.samples() if row["split"] == "heldout"} for s in stages]
    chosen, rule = lineage.choose(answers, 2, stages)
    changed = [i for i in answers[-1] if answers[2][i]["verdict"] != answers[-1][i]["verdict"]]
    assert chosen[:5] == changed[:5] and "between SFT and GRPO" in rule
    assert len(chosen) == 6 and not answers[-1][chosen[5]]["passed"]
    assert lineage.choose([answers[0]], 0, stages[:1])[0] == list(answers[0])[:6]


def test_terminal_table_fits_80_columns_and_holds_what_the_page_holds(store, page):
    """A table cut off at the edge hides the very numbers that the command was run for."""
    console = Console(width=80, file=io.StringIO())
    console.print(report.table(store))
    text = console.file.getvalue()
    assert "…" not in text
    head, lines, _ = lineage.headline(chains.chain(store))
    for line in lines:
        assert all(cell.replace("<", "&lt;") in page for cell in line)
        for name in ("phase", "compile rate", "pass@1", "p", "unseen pass@1", "perplexity"):
            assert line[head.index(name)] in text


def test_p_values_are_holm_adjusted_over_the_phases(store, monkeypatch):
    monkeypatch.setattr(paired, "mcnemar_exact", lambda b, c: 0.01)
    _, lines, _ = lineage.headline(chains.chain(store))
    assert [line[5] for line in lines] == ["–", "0.040", "0.040", "0.040", "0.040"]


def test_missing_phases_and_splits_are_absent(tmp_path):
    fake_store.make(tmp_path, ("sft",), heldout=10, unseen=0)
    text = report.build(tmp_path).read_text("utf-8")
    assert "GRPO" not in text and "never trained on" not in text and "Dashed" not in text
    assert [stage.name for stage in chains.chain(tmp_path)] == ["sft"]
    assert "→" not in lineage.summary(chains.chain(tmp_path))


def test_a_weak_sandbox_is_said_wherever_the_numbers_are(tmp_path):
    """Numbers of programs that could reach the host are worth less, and only a report can say so."""
    store = fake_store.make(tmp_path, phases=("base",), heldout=10, unseen=0)
    run = chains.chain(store)[0].evaluation
    (run.path / "sandbox.json").write_text(json.dumps({"isolation": "degraded (files, network)"}))
    shown = io.StringIO()
    Console(file=shown, width=200).print(report.table(store))
    for text in (shown.getvalue(), report.build(store).read_text("utf-8")):
        assert "degraded (files, network): its promises" in " ".join(text.split())


def test_training_without_an_evaluation_is_reported_as_such(tmp_path):
    fake_store._train(tmp_path, "sft", None)
    text = report.build(tmp_path).read_text("utf-8")
    assert "not evaluated yet" in text and "Losses" in text and "phase after phase" not in text


def test_only_the_base_evaluated(tmp_path):
    fake_store.make(tmp_path, ("base",), heldout=10, unseen=5)
    assert [stage.name for stage in chains.chain(tmp_path)] == ["base"]
    report.build(tmp_path)


def test_evaluations_of_other_bases_and_damaged_ones_do_not_count(tmp_path):
    fake_store.make(tmp_path, ("base", "sft"), heldout=10, unseen=0)
    by_name = {run.config.name: run for run in runs.listing(tmp_path, "evaluate")}
    (by_name["tiny-sft"].path / "samples.jsonl").write_text("{}\n")
    marker = by_name["tiny-base"].path / "run.json"
    commit.write_sealed(marker, commit.read_sealed(marker) | {"base": "another"})
    stages = chains.chain(tmp_path)
    assert [(stage.name, stage.evaluation) for stage in stages] == [("sft", None)]


def test_a_damaged_run_of_the_chain_is_an_error(tmp_path):
    fake_store.make(tmp_path, ("sft", "grpo"), heldout=5, unseen=0)
    (runs.find(tmp_path, "sft").path / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"damaged: metrics\.jsonl"):
        report.build(tmp_path)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_store_without_a_finished_run_says_what_to_do(tmp_path, make):
    make(tmp_path / "store")
    for function in (report.build, report.table):
        with pytest.raises(ValueError, match=re.escape("run `bash colab_setup.sh run` first")):
            function(tmp_path / "store")


def test_named_task_sets_stand_in_a_section_of_their_own(tmp_path):
    """They were measured, and the page was silent about them; and a set's name is a person's text."""
    fake_store.make(tmp_path, ("base",), heldout=10, unseen=5)
    assert "Other task sets" not in report.build(tmp_path).read_text("utf-8")
    evaluation = runs.listing(tmp_path, "evaluate")[0]
    marker = evaluation.path / "run.json"
    sealed = commit.read_sealed(marker)
    rate = {"value": 0.25, "low": 0.1, "high": 0.5, "n": 16}
    sets = {
        "<b>mine</b>": {"n": 16, "pass@10": rate},
        "refusals": {"n": 16, "refusal_rate": rate, "over_refusal_rate": None},
    }
    commit.write_sealed(marker, sealed | {"metrics": sealed["metrics"] | sets})
    page = report.build(tmp_path).read_text("utf-8")
    part = {"n": 8, "pass@1": {**rate, "value": 0.75}, "compile_rate": rate}
    of_set = {"by_family": {"boundary": part, "<i>": part}}
    (evaluation.path / "report.json").write_text(json.dumps({"sets": {"<b>mine</b>": of_set}}))
    assert "&lt;b&gt;mine&lt;/b&gt;: boundary" in report.build(tmp_path).read_text("utf-8"), "by kind of fault"
    assert "&lt;b&gt;mine" in page and "pass@10 25 % [10–50]" in page and "refusal rate 25 % [10–50]" in page


def test_where_the_time_went_is_told_of_the_runs_that_know(page, store):
    """A table of runs without a profile would be a table of zeros."""
    head, lines = profiles.table(chains.chain(store))
    assert head == [
        *("phase", "steps", "data", "generation", "grading", "forward", "backward"),
        *("together", "tokens/s", "MFU", "resident, GiB"),
    ]
    assert lines == [
        ["SFT", "150", "0.5", "–", "–", "1", "2", "3.5", "143", "–", "1.00"],
        ["GRPO", "120", "0.5", "1.5", "0.5", "1", "2", "5.5", "91", "–", "1.00"],
    ]
    assert page.count("Where the time went") == 1
    assert profiles.section([stage for stage in chains.chain(store) if stage.label not in ("SFT", "GRPO")]) == ""
