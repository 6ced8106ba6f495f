"""The section on the repair agent."""

from nbcore import config, report, runs, stats
from tests import fake_store


def test_repairs_alone_are_on_the_page(tmp_path):
    """An agent's evaluation measures no pass@1, and so stood nowhere: its pipeline ended with a page that did not know
    what it was for."""
    store = fake_store.make(tmp_path / "store", heldout=30, unseen=5)
    rates = {name: stats.wilson(count, 40)._asdict() for name, count in (("repair_rate", 24), ("one_shot_rate", 20))}
    pair = {"of": "agent", "against": "one_shot", "won": 5, "lost": 1, "p": 0.21875}
    measured = {"n": 40, **rates, "valid_calls": stats.wilson(97, 100)._asdict(), "pairs": [pair]}
    page = report.build(store).read_text()
    assert "<h2>Repairs</h2>" not in page
    made = runs.open(config.load("configs/evaluate/agent_tiny.yaml"), store, "grpo")
    made.finish({"<b>faults": measured}, seconds=1.0, base="seedling", device="CPU", data_hash="e" * 64)
    page = report.build(store).read_text()
    row = page.partition("<h2>Repairs</h2>")[2].partition("</section>")[0]
    assert "&lt;b&gt;faults" in row and "<b>" not in row
    assert "60 % [45–74]" in row and "50 % [35–65]" in row and "97 % [92–99]" in row
    words = f"{report.table(store).title}"
    assert words.startswith("pass@1 on 30 held-out tasks"), "the tasks come first where they were measured"
    assert "GRPO, &lt;b&gt;faults: the agent against one go: 5 won, 1 lost, p = 0.219" in row


def test_repairs_alone_are_the_result_where_nothing_else_was_measured(tmp_path):
    """An agent's pipeline ended with "trained, but not evaluated yet", and with a command that asks for other tasks."""
    trained = runs.open(config.load({"phase": "sft", "name": "agent_tiny"}), tmp_path, "base")
    trained.log(step=400, loss=1.0)
    trained.finish({"loss": 1.0}, base="seedling", device="CPU", data_hash="f" * 64)
    assert "not evaluated: sft/" in report.left_out(tmp_path)
    made = runs.open(config.load("configs/evaluate/agent_tiny.yaml"), tmp_path, "sft")
    measured = {"n": 40, "repair_rate": stats.wilson(24, 40)._asdict()}
    made.finish({"agent_faults": measured}, seconds=1.0, base="seedling", device="CPU", data_hash="e" * 64)
    assert report.table(tmp_path).title == "SFT repairs 60 % [45–74] of 40 faults (agent_faults)."
    assert report.left_out(tmp_path) == ""
    assert "SFT repairs 60&nbsp;% [45–74]" in report.build(tmp_path).read_text()
