"""How often a gate is wrong, on recorded answers: the quick form of tests/bench/gates.py, whose table is beside it."""

from nbcore import gates
from tests.bench import gates as bench
from tests.gates import made

REPETITIONS = 40


def test_a_model_is_seldom_superior_to_itself():
    """A gate that calls luck an improvement hands on whatever was evaluated often enough."""
    found = bench.repeated(bench.recorded(), REPETITIONS)
    assert found.superior <= bench.ALPHA * REPETITIONS and found.failed <= bench.ALPHA * REPETITIONS


def test_a_regression_of_the_detectable_size_is_caught_and_of_twice_that_nearly_always():
    """The power that a gate promises, through the gate itself: families drawn as wholes, exact p, the verdict."""
    tasks = bench.recorded()
    _, detectable = bench.observed(tasks)
    once, twice = (bench.repeated(tasks, REPETITIONS, times * detectable) for times in (1, 2))
    assert once.caught >= 0.5 * REPETITIONS and twice.caught >= 0.95 * REPETITIONS
    assert once.superior == twice.superior == twice.opened == 0


def test_the_bench_judges_as_a_gate_does(store):
    """It hands the checks rows instead of run directories; on directories the verdicts must be the same."""
    tasks = bench.recorded()
    before, after = ([task["passed"][side] == "1" for task in tasks] for side in (0, 1))

    def named(row):
        task = tasks[int(row["id"][1:])]
        return {**row, "id": task["id"], "family": task["family"]}

    baseline = made.trained(store, "lang_adapter")
    candidate = made.trained(store, "sft", baseline)
    for run, answers in ((baseline, before), (candidate, after)):
        verdicts = ["pass" if passed else "tests_failed" for passed in answers]
        made.evaluated(store, run, verdicts.__getitem__, len(tasks), change=named)
    asked = [bench.SUPERIOR, {"metric": "pass@1", "delta": {"non_inferior": -0.08}}]
    decision = gates.judge(candidate, gates.load({**made.GATE, "integrity": {}, "checks": asked}))
    assert [row.verdict for row in decision.rows] == bench.judged(tasks, before, after, asked)
