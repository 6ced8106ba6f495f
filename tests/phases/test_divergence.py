"""A loss, gradient, weight or logit that is not finite stops the run at its step, in every phase."""

import importlib
import math
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from nbcore import config as configs
from nbcore import runs
from nbcore.core.finite import NotFinite
from nbcore.phases import evaluate, lang_adapter
from nbcore.runs import checkpoints
from nbcore.tasks import katas
from nbcore.training import divergence, fit, generate, load, logits
from tests.phases.short_runs import losses, short, write_pairs
from tests.training.clock import without_clock

STEP = r"at step (\d), learning rate [\d.e+]+\. Training stops there: (.*)\. Lower learning_rate \(it is "


def stopped(phase, run):
    """The error that ends its training."""
    with pytest.raises(NotFinite, match=STEP) as caught:
        phase.train(run)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{run.id}: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "rate"), [("pretrain", 1e12), ("lang_adapter", 10), ("sft", 1e6), ("ipo", 1e10), ("grpo", 1e10)]
)
def test_a_learning_rate_far_too_high_stops_the_run_and_leaves_the_last_good_checkpoint(chain, name, rate):
    """It was logged as loss 0.0, finished with weights that were all NaN, and SFT trained on from there."""
    phase = importlib.import_module(f"nbcore.phases.{name}")
    parent = {"sft": "lang_adapter", "ipo": "sft", "grpo": "sft"}.get(name)
    config = short(name, name="diverging", learning_rate=rate, max_steps=9, save_steps=1, warmup=0.4)
    run = runs.open(config, chain, parent)
    if name == "ipo":
        write_pairs(run)
    words = stopped(phase, run)
    saved, wrong = checkpoints.newest(run.path)
    good = saved.step if saved else None
    assert not wrong and (good is None or f"that of step {good}, and it stays the newest" in words)
    (event,) = run.events("not_finite")
    assert event["step"] == (good or 0) + 1 and f"at step {event['step']}," in words
    assert all(math.isfinite(value) for row in run.metrics() for value in row.values() if value is not None)
    with pytest.raises(ValueError, match="training has not come to its end"):
        phase.finish(run)
    assert not run.finished and not (run.path / configs.TABLE[name].leaves).exists()
    if name == "lang_adapter":
        assert stopped(phase, run) == words, "resumed, it says the same"
        with pytest.raises(ValueError, match=r"learning_rate: is 1\.0, and .* unfinished at step"):
            runs.open(configs.load(config, {"learning_rate": 1.0}), chain)
        assert runs.open(configs.load(config, {"learning_rate": 1e-4, "name": "again"}), chain).id != run.id


def test_the_rate_that_is_advised_can_train(store):
    """At 1e300 the remedy was 1e299: a tenth, over and over, for three hundred runs."""
    run = runs.open(short("lang_adapter", learning_rate=1e300, max_steps=3), store)
    usual = type(run.config).model_fields["learning_rate"].default
    assert f'"learning_rate": {usual:.3g}, "name": "…"' in stopped(lang_adapter, run)


@pytest.fixture
def run(store):
    return runs.open(short("lang_adapter", max_steps=3, save_steps=1), store)


def trained_with(monkeypatch, run, change):
    """Train `run` after `change(trainer)`; the words of the error, and the step of the newest checkpoint."""
    build = lang_adapter.trainer

    def changed(run):
        trainer = build(run)
        change(trainer)
        return trainer

    monkeypatch.setattr(lang_adapter, "trainer", changed)
    words = stopped(lang_adapter, run)
    checkpoint, _ = checkpoints.newest(run.path)
    return words, checkpoint.step if checkpoint else 0


def parameter(trainer):
    return next(p for name, p in trainer.model.named_parameters() if "lora_B" in name)


@pytest.mark.parametrize("settings", [{}, {"logging_steps": 3, "max_grad_norm": 0.0}])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_each_kind_is_met_at_its_own_step(monkeypatch, store, settings, number):
    """Found in the log, it would be told steps late where little is logged, and the checkpoints between are lost."""
    run = runs.open(short("lang_adapter", max_steps=3, save_steps=1, trainer=settings), store)

    def loss(trainer):
        real = trainer.compute_loss

        def compute_loss(*arguments, **named):
            bad = trainer.model.training and trainer.state.global_step == 1
            return real(*arguments, **named) * number if bad else real(*arguments, **named)

        trainer.compute_loss = compute_loss

    words, saved = trained_with(monkeypatch, run, loss)
    assert f"the loss is {number} at step 2" in words and saved == 1


def test_a_base_that_is_not_finite_is_named(store, tmp_path):
    """The only remedy told was a lower learning rate, which no step had used yet."""
    model = AutoModelForCausalLM.from_pretrained(runs.SEEDLING)
    model.model.layers[0].mlp.down_proj.weight.data[0, 0] = math.nan
    model.save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(runs.SEEDLING).save_pretrained(tmp_path / "base")
    config = short("lang_adapter", max_steps=3, **{"model.base": str(tmp_path / "base")})
    words = stopped(lang_adapter, runs.open(config, store))
    assert "the loss is nan at step 1," in words and "look at the numbers of model.base" in words


def test_an_adapter_that_came_with_nan_is_named(monkeypatch, run):
    """Earlier versions finished runs with such adapters; what went on from one was told to look at its base."""
    words, _ = trained_with(monkeypatch, run, lambda trainer: parameter(trainer).data.fill_(math.nan))
    assert "the loss is nan at step 1," in words and "lora_B.default.weight came with such values" in words
    assert "model.base" not in words


def test_a_gradient_or_a_weight_without_a_bad_loss(monkeypatch, run, store):
    """An overflow in the backward pass, or in the optimizer: the loss of that very step is fine."""

    def gradient(trainer):
        parameter(trainer).register_hook(lambda grad: grad * (math.nan if trainer.state.global_step == 1 else 1))

    words, saved = trained_with(monkeypatch, run, gradient)
    assert "the norm of the gradients is nan at step 2" in words and saved == 1 and len(losses(run)) == 1
    other = runs.open(short("lang_adapter", name="weight", max_steps=3, save_steps=1), store)

    def weight(trainer):
        real = trainer.create_optimizer

        def create(*arguments):
            optimizer = real(*arguments)
            step = optimizer.step

            def overflowing(*more, **named):
                done = step(*more, **named)
                if trainer.state.global_step == 1:
                    parameter(trainer).data[0, 0] = math.inf
                return done

            optimizer.step = overflowing
            return optimizer

        trainer.create_optimizer = create

    monkeypatch.undo()
    words, saved = trained_with(monkeypatch, other, weight)
    assert "lora_B.default.weight has values that are NaN or infinite at step 2" in words and saved == 1


def test_an_evaluation_that_is_nan_stops_too(monkeypatch, run):
    """`nan < best` is false for ever: early stopping would keep the first weights and call them the best."""

    def evaluation(trainer):
        real = trainer.prediction_step
        trainer.prediction_step = lambda *a, **k: (torch.tensor(math.nan), *real(*a, **k)[1:])

    words, _ = trained_with(monkeypatch, run, evaluation)
    assert "eval_loss is nan at step 1" in words


def test_the_filter_cannot_be_turned_on_again(store):
    """With it a NaN is logged as 0.0, and the check before the optimizer sees no NaN either."""
    run = runs.open(short("lang_adapter", trainer={"logging_nan_inf_filter": True}), store)
    with pytest.raises(ValueError, match="trainer: logging_nan_inf_filter"):
        lang_adapter.trainer(run)


def half_precision(scale):
    """A Divergence over a float16 run whose scaler stands at `scale`; there is no such run on a CPU."""
    model = torch.nn.Linear(2, 2)
    accelerator = SimpleNamespace(scaler=torch.amp.GradScaler("cpu", init_scale=scale), clip_grad_norm_=lambda: None)
    accelerator.scaler.scale(torch.zeros(1))  # it makes its scale when first used
    trainer = SimpleNamespace(
        accelerator=accelerator, model=model, args=SimpleNamespace(learning_rate=1e-3), _tr_loss=torch.tensor(2.0)
    )
    watched = divergence.Divergence(SimpleNamespace(id="sft/x"), trainer)
    watched.norm = torch.tensor(math.inf)
    return watched, trainer


def test_a_step_that_the_gradient_scaler_leaves_out_is_no_divergence():
    """float16 finds its scale by trying: the first steps of a healthy run on a T4 overflow."""
    watched, trainer = half_precision(65536.0)
    watched.check_gradients()
    assert watched.checked({"loss": 2.0, "grad_norm": math.inf}) == {"loss": 2.0, "skipped": 1}
    watched.norm = torch.tensor(1.0)
    watched.check_gradients()
    assert watched.checked({"loss": 2.0, "grad_norm": 1.0}) == {"loss": 2.0, "grad_norm": 1.0}
    trainer._tr_loss = torch.tensor(math.nan)  # the loss is not multiplied: no scale makes it finite
    with pytest.raises(NotFinite, match="the loss is nan"):
        watched.check_gradients()
    watched, _ = half_precision(1.0)
    with pytest.raises(NotFinite, match="gradients is inf"):
        watched.check_gradients()


def test_a_diagnostic_that_is_undefined_stops_nothing(capsys):
    """TRL sums logits in float16: that the mean of them is infinite says nothing of the weights."""
    watched, _ = half_precision(1.0)
    assert watched.checked({"loss": 0.0, "logits/chosen": math.inf, "reward": None})["logits/chosen"] is None
    watched.checked({"logits/chosen": math.inf})
    assert capsys.readouterr().out.count("logits/chosen is inf") == 1
    with pytest.raises(NotFinite, match="eval_loss is nan"):
        watched.checked({"eval_loss": math.nan})


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_without_finite_logits_is_not_evaluated(store, temperature):
    """Greedy it answers in garbage and is worth 0 %; sampling ends in an assertion, on a GPU of the whole process."""
    run = runs.open(configs.load("configs/evaluate/tiny.yaml"), store)
    model, tokenizer = load.policy(run, None), load.tokenizer(run)
    settings = configs.Generation(max_new_tokens=2, temperature=temperature)
    fine = generate.generate(model, tokenizer, [[5, 6]], settings)
    weight = model.get_output_embeddings().weight
    kept = weight.data.clone()
    weight.data[7] = 3e38
    with pytest.raises(NotFinite, match="the logits are NaN or infinite"):
        generate.generate(model, tokenizer, [[5, 6]], settings)
    with pytest.raises(NotFinite, match="perplexity"):
        documents = [{"id": "a", "text": katas.document(katas.load("heldout")[0])}]
        evaluate.perplexity(model, tokenizer, documents, 64, 0)
    weight.data = kept
    with logits.finite(model):
        again = generate.generate(model, tokenizer, [[5, 6]], settings)
    assert without_clock(again) == without_clock(fine)
    assert not model.get_output_embeddings()._forward_hooks, "nothing of it stays"


def test_nothing_is_finished_that_was_not_trained(store):
    """The last cell run by hand after the one before had failed: a run without an adapter would be a parent."""
    run = runs.open(short("lang_adapter", name="untrained"), store)
    with pytest.raises(ValueError, match=f"{run.id}: training has not come to its end"):
        lang_adapter.finish(run)
    assert not run.finished and fit.last(run) == {}
    with pytest.raises((ValueError, FileNotFoundError)):
        runs.open(short("sft"), store, "lang_adapter")
