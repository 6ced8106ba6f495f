"""Remake the shipped base models with one command each: `python -m nbcore.assets.make_seedling [--calls]`.

Pretrains by configs/pretrain/seedling.yaml (resuming where it was stopped), then writes model, tokenizer and card
to nbcore/assets/seedling/, or to --out. With --calls it is the second stage, configs/pretrain/seedling_calls.yaml: from
the first one's weights on, at 896 tokens, with calls of tools, to nbcore/assets/seedling_calls/. Needs the source of
Rust's library: `rustup component add rust-src`, or the distribution's package of that name.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from transformers import AutoModelForCausalLM

from nbcore import config as configs
from nbcore import runs
from nbcore.core import environment
from nbcore.data import rust_source
from nbcore.phases import pretrain
from nbcore.runs import layout
from nbcore.tasks import katas
from nbcore.training import load
from nbcore.view import figures
from nbcore.view.live import Live

PURPOSE = ("what the tour and the tests train", "what the repair agent of the tiny profile starts from")
CARD = """\
# The seedling

A tiny causal language model of Rust: {purpose}. Architecture `{architecture}`, {parameters:,}
parameters, float32. It continues Rust, knows the chat frame, and copies names from a signature; what instructions mean
is for the phases after it to teach.

| | |
|---|---|
| data | {documents:,} documents, {tokens:,} tokens, each document one row: {sources} |
| data sha256 | `{sha256}` |
| licences | generated functions: this project's; Rust library source: {licence} |
| tokenizer | byte-level BPE of {vocabulary:,} ids, StarCoder's pre-tokeniser, Harmony's and FIM's tokens |
| training | {steps:,} steps of {batch} rows, lengths {stages}, AdamW, peak learning rate {rate}, seed {seed} |
| loss | {loss:.3f} at the end; held-out functions {eval_loss:.3f}, perplexity {perplexity:.2f} |
| time | {minutes:.0f} minutes ({device}) |
| versions | {versions} |

![Training loss and held-out loss](loss.png)

Held-out functions are compositions that no training split holds. {begun}Remake it with

    python -m nbcore.assets.make_seedling{options}

Not for writing software: it knows {families} kinds of small functions and nothing else.
"""


def ship(run: runs.Run, out: Path) -> None:
    """Copy a finished pretraining run into a folder and write its card from the run's own records."""
    info, config = run.info, run.config
    out.mkdir(exist_ok=True, parents=True)
    for path in (run.path / layout.MODEL).iterdir():
        shutil.copy(path, out / path.name)
    model = AutoModelForCausalLM.from_pretrained(out)
    figures.learning(run.metrics()).savefig(out / "loss.png", dpi=110)
    card = CARD.format(
        purpose=PURPOSE[bool(config.start)],
        architecture=type(model).__name__,
        parameters=model.num_parameters(),
        documents=info["data"]["documents"],
        tokens=info["data"]["tokens"],
        sources=", ".join(f"{name} {count:,}" for name, count in config.corpus.sources.items()),
        sha256=info["data"]["sha256"],
        licence=rust_source.LICENCE,
        vocabulary=model.config.vocab_size,
        families=sum(not family.held_out for family in katas.FAMILIES.values()),
        steps=info["metrics"]["step"],
        batch=config.effective_batch,
        stages=", ".join(f"{length} ({steps:,} steps)" for length, steps in pretrain.stages(config)),
        rate=config.learning_rate,
        seed=config.seed,
        loss=info["metrics"]["loss"],
        eval_loss=info["metrics"]["eval_loss"],
        perplexity=info["metrics"]["eval_perplexity"],
        minutes=info["seconds"] / 60,
        device=info["device"],
        begun=f"Its first stage, `{config.start}`, was trained by seedling.yaml. " if config.start else "",
        options=" --calls" if config.start else "",
        versions=", ".join(f"{name} {version}" for name, version in info["versions"].items()),
    )
    (out / "README.md").write_text(card, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nbcore.assets.make_seedling", description=__doc__)
    parser.add_argument("--calls", action="store_true", help="the second stage, from the first one's weights on")
    parser.add_argument("--out", type=Path, help="the folder that gets the model; default: where it is shipped")
    parser.add_argument("--start", help="with --calls: the folder of the first stage; default: the shipped seedling")
    given = parser.parse_args()
    name = "seedling_calls" if given.calls else "seedling"
    changes = {"start": given.start} if given.calls and given.start else {}
    config = configs.load(environment.REPO / f"configs/pretrain/{name}.yaml", changes)
    run = runs.open(config, environment.store())
    if not run.finished:
        pretrain.train(run, Live("seedling"))
        pretrain.finish(run)
    out = given.out or load.SEEDLING.with_name(name)
    ship(run, out)
    print(f"the seedling of {run.id} is in {out}")


if __name__ == "__main__":
    main()
