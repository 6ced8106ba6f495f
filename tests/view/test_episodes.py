"""Episodes in a notebook: whatever a model wrote is text, and the text says the same as the picture."""

from nbcore import view
from tests.evaluation.test_repairs import SETTINGS, row
from tests.view.test_viewers import EVIL, Tags


def evil(passed):
    action = {"action": "call", "name": EVIL, "arguments": EVIL, "answer": EVIL, "valid": False, "tokens": 1}
    more = {"prompt": EVIL, "why": EVIL, "diff": f"--- a\n+++ b\n+{EVIL}\n-{EVIL}"}
    made = row(f"{EVIL}{passed}", passed, False, True, kind=EVIL)
    return {**made, **more, "actions": [{**action, "diff": ""}, {**action, "diff": more["diff"]}]}


def test_no_text_of_a_model_is_markup():
    """A file that a model writes is the easiest way into the page of whoever looks at it."""
    shown = view.episodes([evil(True), evil(False), {"completion": "no episode", "verdict": "pass"}])
    found = Tags(shown.markup)
    assert not {"script", "img"} & set(found.found)
    assert found.text.count(EVIL) > 20 and shown.text.count(EVIL) > 20
    assert shown.markup.count("<details") == 2 and shown.markup.count(" open>") == 1
    assert str(view.episodes([])).startswith("no agent was evaluated")


def test_rates_and_pairs_stand_beside_the_kinds():
    from nbcore.evaluation import repairs

    rows = [row(str(n), n < 2, n < 1, True, kind="borrow" if n else EVIL) for n in range(4)]
    results = {"perplexity": {"n": 3}, "faults": repairs.summary(rows, SETTINGS)}
    shown = view.episodes([evil(True)], results)
    assert shown.text.startswith(view.repairs(results["faults"]).text)
    assert "script" not in Tags(shown.markup).found and shown.markup.count("<details") == 1
    assert "borrow" in str(shown) and "50.0% [15.0% – 85.0%]" in str(shown)
    assert "verified retries against in one go" in str(shown) and "0.25" in str(shown)
