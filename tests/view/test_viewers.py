"""What notebooks display: the content is right, the text says the same as the HTML, and nothing untrusted is markup."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nbcore import runs, stats, view
from nbcore.runs.activity import Doing
from nbcore.view import figures, html, viewers
from nbcore.view.live import Live
from tests import fake_store

EVIL = '<script>alert("x")</script> & <img src=x onerror=y>'


class Tags(HTMLParser):
    def __init__(self, markup):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)

    def handle_data(self, data):
        self.text += data


class Bytes:
    """A tokenizer whose tokens are the bytes of UTF-8: every non-ASCII character spans several tokens."""

    def decode(self, ids):
        return bytes(ids).decode("utf-8", errors="replace")

    def __call__(self, text):
        return {"input_ids": list(text.encode())}

    def apply_chat_template(self, messages, tokenize, return_dict):
        return [0] * sum(len(message["content"]) for message in messages)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fake_store.make(tmp_path_factory.mktemp("store"), ("base", "sft", "grpo"), heldout=60, unseen=20)


def assert_inert(view):
    tags = Tags(view._repr_html_())
    assert not {"script", "img"} & set(tags.found)
    assert 'alert("x")' in tags.text


def test_rows_show_the_first_three_and_their_length():
    data = [{"id": f"r{i}", "messages": [{"role": "user", "content": "hé" + EVIL}], "meta": {}} for i in range(5)]
    shown = view.rows(iter(data), Bytes())
    assert [f"r{i}" in str(shown) for i in range(4)] == [True, True, True, False]
    assert f"user: hé{EVIL}\ntokens: {len(EVIL) + 2}" in str(shown)
    assert_inert(shown)
    assert str(view.rows([])) == "no rows"


def test_rows_of_every_contract_can_be_shown():
    shown = view.rows([{"id": "d", "text": "fn a() {}"}, {"id": "t", "prompt": "p", "meta": {"k": 1}}], Bytes())
    assert "text: fn a() {}\ntokens: 9" in str(shown) and 'meta: {"k": 1}' in str(shown)


def test_long_fields_are_cut_and_say_so():
    assert "(300 more characters)" in str(view.rows([{"id": "x", "text": "a" * (html.LONGEST + 300)}]))


def test_mask_tells_trained_tokens_apart_and_keeps_characters_whole():
    text = f"q: {EVIL}\n→ é"
    ids = list(text.encode())
    start = len(f"q: {EVIL}\n".encode())
    shown = view.mask(ids, [-100] * start + ids[start:], Bytes())
    assert str(shown).startswith(f"q: {EVIL}\n⟦→ é⟧")
    assert f"{len(ids) - start} of {len(ids)} tokens carry loss" in str(shown)
    assert "\ufffd" not in shown._repr_html_()
    assert shown._repr_html_().count(f"background:{figures.BLUE}33") == 3 + 1  # three characters and the legend
    assert 'alert("x")' in Tags(shown._repr_html_()).text and "script" not in Tags(shown._repr_html_()).found


def test_mask_shows_broken_characters_rather_than_losing_tokens():
    assert str(view.mask([0xE2, 0x86], [-100, -100], Bytes())).startswith("\ufffd")


def test_mask_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="3 input_ids and 1 labels"):
        view.mask([1, 2, 3], [1], Bytes())


@pytest.mark.parametrize("verdict", [*viewers.VERDICTS, "run_timeout", EVIL])
def test_badges_are_one_escaped_span_with_words(verdict):
    badge = view.verdict_badge(verdict)
    assert Tags(badge._repr_html_()).found == ["span"]
    assert str(badge) == Tags(badge._repr_html_()).text


def test_before_after_pairs_the_same_prompts():
    samples = [
        {"when": when, "id": id_, "prompt": f"do {id_}", "completion": f"{when} {id_} {EVIL}", "verdict": verdict}
        for when, verdict in (("before", "compile_error"), ("after", "pass"))
        for id_ in ("a", "b")
    ]
    samples.append({"when": "before", "id": "alone", "prompt": "", "completion": "", "verdict": "no_code"})
    shown = view.before_after(samples)
    assert "alone" not in str(shown)
    assert str(shown).index("✗ does not compile\nbefore a") < str(shown).index("✓ passes\nafter a")
    assert_inert(shown)


def test_rates_show_every_interval_and_where_it_lies():
    """A raw mapping of value, low and high stood in the notebook that people open for exactly these numbers."""
    rate = stats.Interval(0.41, 0.35, 0.47, 300)._asdict()
    shown = view.rates(
        {"heldout": {"n": 300, "pass@1": rate, "verdicts": {"pass": 123}}, "perplexity": {"n": 9, **rate}}
    )
    assert "41.0% [35.0% – 47.0%]" in str(shown) and "0.410 [0.350 – 0.470]" in str(shown)
    assert "left:35.0%;width:12.0%" in shown._repr_html_()
    assert str(view.rates({})) == "nothing measured yet"


def test_answers_are_data_and_never_markup():
    """A completion is untrusted: it must not become HTML in the notebook."""
    row = {"prompt": "a < b", "completion": "<script>alert(1)</script>", "verdict": "pass"}
    shown = view.answers([row])
    assert "<script>" not in shown._repr_html_() and "&lt;script&gt;" in shown._repr_html_()
    assert "<script>alert(1)</script>" in str(shown)


def test_facts_are_aligned_and_escaped():
    shown = view.facts({"parameters": 900_000, "loss": 0.123456, "note": EVIL})
    assert str(shown).splitlines()[1] == "loss        0.1235"
    assert_inert(shown)
    assert str(view.facts({"pass@1": {"value": 1 / 3, "n": 400}})) == 'pass@1  {"value": 0.3333, "n": 400}'


def test_source_is_the_code_that_runs():
    shown = view.source(view.plain)
    assert "def plain(value: Any) -> str:" in str(shown) and "def plain" in Tags(shown._repr_html_()).text
    assert str(Path.cwd()) not in str(shown)


def test_curves_show_the_run_and_name_the_ends(store):
    shown = view.curves(runs.find(store, "grpo"))
    assert [axis.get_title(loc="left") for axis in shown.figure.axes] == ["loss", "reward"]
    assert "reward 0." in str(shown) and shown._repr_html_().startswith("<svg")
    one = view.curves(runs.find(store, "sft"), keys=["grad_norm"])
    assert [axis.get_title(loc="left") for axis in one.figure.axes] == ["grad_norm"]
    with pytest.raises(ValueError, match="nothing to draw"):
        view.curves(runs.find(store, "sft"), keys=["no such key"])


def test_svg_stands_alone_and_repeats():
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 30)]
    first, second = (figures.svg(figures.learning(rows), 'say "it"') for _ in range(2))
    assert first == second
    assert 'aria-label="say &quot;it&quot;"' in first
    assert "<style" not in first and "currentColor" in first and ' id="axes' not in first


def test_smoothing_keeps_a_constant_and_the_length():
    assert figures.smooth([2.0] * 45) == pytest.approx([2.0] * 45)
    assert figures.smooth([1.0]) == [1.0]


def test_compare_is_paired_and_agrees_with_the_evaluations(store):
    base, _, last = (run for run in runs.listing(store, "evaluate"))
    base, last = sorted((base, last), key=lambda run: run.info["metrics"]["heldout"]["pass@1"]["value"])
    shown = view.compare(base, last)
    line = next(line for line in str(shown).splitlines() if line.split()[:2] == ["heldout", "pass@1"])
    rates = [run.info["metrics"]["heldout"]["pass@1"]["value"] for run in (base, last)]
    assert f"{100 * rates[0]:.1f} %" in line and f"{100 * (rates[1] - rates[0]):+.1f} pp" in line and "< 0.001" in line
    same = str(view.compare(last, last))
    assert "+0.0 pp (+0.0 to +0.0)" in same and "1.000" in same


def test_outcomes_leave_out_what_could_not_be_graded():
    class Evaluation:
        def samples(self):
            rows = [("a", "pass", True), ("a", "tests_failed", False), ("b", "infra_error", False)]
            return [{"id": i, "split": "heldout", "verdict": verdict, "passed": p} for i, verdict, p in rows]

    assert view.outcomes(Evaluation(), "heldout") == {"a": 0.5}


class Screen:
    def __init__(self):
        self.shown = []

    def update(self, data, raw):
        self.shown.append(data)


def test_live_prints_a_line_now_and_then_with_the_time_left(capsys):
    now = [0.0]
    live = Live("sft", clock=lambda: now[0])
    for step in range(1, 101):
        live.update(step, 100, {"loss": 1 / step})
        now[0] += 1.0
    live.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11  # 100 seconds, one line each ten, and the end
    assert lines[5] == "sft step 51/100 · loss 0.01961 · 50 s gone · 49 s left"
    assert lines[-1].startswith("sft step 100/100") and "left" not in lines[-1]


def test_live_counts_a_resumed_run_from_where_it_resumed():
    now = [0.0]
    live = Live(clock=lambda: now[0], screen=Screen())
    live.update(900, 1000, {"loss": 1.0})
    now[0] = 10.0
    live.update(910, 1000, {"eval_loss": 2.0})
    assert live.line() == "step 910/1000 · loss 1 · eval_loss 2 · 10 s gone · 1 min 30 s left"


def test_live_redraws_one_display_at_most_every_two_seconds():
    now, screen = [0.0], Screen()
    live = Live("grpo", clock=lambda: now[0], screen=screen)
    live.update(0, 50, {"grad_norm": 1.0})  # nothing to draw yet
    for step in range(1, 50):
        now[0] += 0.5
        live.update(step, 50, {"loss": 1.0, "reward": step / 50})
    live.close()
    assert len(screen.shown) == 1 + 12 + 1
    assert "<svg" not in screen.shown[0]["text/html"] and "<svg" in screen.shown[-1]["text/html"]


def test_live_says_what_is_done_beside_steps():
    """A cell that loads and generates for minutes showed nothing, or the last step."""
    now, screen = [0.0], Screen()
    live = Live("sft", clock=lambda: now[0], screen=screen)
    doing = lambda words, done=0, total=0: live.tell(Doing(words, done, total, 0.0, 0.0))  # noqa: E731
    doing("loading the model")
    assert screen.shown[-1]["text/plain"] == "sft · loading the model"
    live.update(1, 2, {"loss": 1.0})
    now[0] = 0.1
    live.update(2, 2, {"loss": 1.0})
    doing("answering 8 tasks", 1, 8)
    assert screen.shown[-1]["text/plain"] == "sft step 2/2 · loss 1 · 0 s gone · answering 8 tasks: 1/8", "at once"
    doing("answering 8 tasks", 2, 8)
    assert "2/8" not in screen.shown[-1]["text/plain"], "and then no oftener than all else"
    now[0] = 9.0
    doing("answering 8 tasks", 3, 8)
    assert screen.shown[-1]["text/plain"].endswith("answering 8 tasks: 3/8")
    live.close()
    assert "answering" not in screen.shown[-1]["text/plain"]


def test_importing_stays_light():
    code = "import sys, nbcore.view, nbcore.report; print([m for m in sys.modules if '.' not in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"'torch'", "'matplotlib'", "'scipy'", "'IPython'", "'numpy'"} & set(
        done.stdout.strip("[]\n").split(", ")
    )


@pytest.mark.slow
def test_live_draws_where_a_person_watches_and_prints_under_papermill():
    from jupyter_client.manager import start_new_kernel

    code = (
        "import IPython; from nbcore.view import Live; live = Live('x'); live.update(1, 2, {'loss': 1.0}); live.close()"
    )
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        seen = {True: [], False: []}
        for allow_stdin, messages in seen.items():
            client.execute_interactive(code, allow_stdin=allow_stdin, timeout=300, output_hook=messages.append)
        nothing: list[dict] = []
        client.execute_interactive("Live('x').close()", allow_stdin=True, timeout=300, output_hook=nothing.append)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    kinds = {allow: {message["msg_type"] for message in messages} for allow, messages in seen.items()}
    assert "update_display_data" in kinds[True] and "stream" not in kinds[True]
    assert "update_display_data" not in kinds[False] and "stream" in kinds[False]
    assert "display_data" not in {message["msg_type"] for message in nothing}, "a run that is only shown says nothing"


def test_the_table_before_the_first_step():
    """Rows that were cut or left out in silence are found months later, or never."""
    shown = {"rows": 1200, "tokens": 2_457_600, "truncated": 3, "dropped": 0, "fully_masked": 1, "longest": 2048}
    text = str(view.data_report({"documents": 9, "shown": {**shown, "fill": 0.99971}}))
    head, line, *_ = text.splitlines()
    assert head.split() == ["rows", "tokens", "truncated", "dropped", "fully", "masked", "longest", "fill"]
    assert line.split() == ["1,200", "2,457,600", "3", "0", "1", "2,048", "99.97", "%"]
    assert "documents" in text and "shown" not in text
