"""Does every phase earn its place? The whole tiny pipeline for several seeds, and what the claims say of it.

    python tests/bench/regime.py --seeds 0 1 2 --store runs/regime

Each seed gets a store of its own; a killed bench goes on where it stopped. Seeds change data order, initialisation of
the adapter, the demonstrations' order, rollouts and sampling; the held-out tasks and the decoding are the same for all.
The table goes to tests/bench/regime.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore import pipeline as pipelines  # noqa: E402
from nbcore import runs, stats, view  # noqa: E402 - the path must be set before the imports
from nbcore.core import hardware  # noqa: E402

PHASES = ("base", "lang_adapter", "sft", "ipo", "grpo")


def evaluations(store: Path) -> dict[str, runs.Run]:
    """The newest evaluation of each phase in a store; "base" for the one without a parent."""
    found = {}
    for run in runs.listing(store, "evaluate"):
        if run.finished:
            found[run.parent.phase if run.parent else "base"] = run
    return found


def per_token(evaluation: runs.Run) -> dict[str, float]:
    """Document id to mean negative log-likelihood, in nats per token."""
    rows = [row for row in evaluation.samples() if row["split"] == "perplexity"]
    return {row["id"]: row["nll"] / row["tokens"] for row in rows}


def measure(store: Path) -> tuple[list[str], list[tuple[str, bool, str]]]:
    """(table lines, claims as (words, holds, numbers)) of one seed."""
    found = evaluations(store)
    lines = []
    for phase in PHASES:
        metrics = found[phase].info["metrics"]
        cells = [phase]
        for part, rate in (("heldout", "compile_rate"), ("heldout", "pass@1"), ("unseen_family", "pass@1")):
            value = metrics[part][rate]
            cells.append(f"{value['value']:.1%} [{value['low']:.1%}, {value['high']:.1%}]")
        value = metrics["perplexity"]
        cells.append(f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]")
        lines.append("| " + " | ".join(cells) + " |")

    def compared(before: str, after: str, key: str = "passed") -> stats.Comparison:
        sides = (view.outcomes(found[name], "heldout", key) for name in (before, after))
        return stats.compare(*sides)

    perplexities = {name: found[name].info["metrics"]["perplexity"]["value"] for name in PHASES}
    nll = {name: per_token(found[name]) for name in ("base", "lang_adapter")}
    lower = stats.compare(nll["base"], nll["lang_adapter"]).delta
    ipo = found["ipo"].parent
    sft_over_adapter = compared("lang_adapter", "sft")
    ipo_over_sft, compiles = compared("sft", "ipo"), compared("sft", "ipo", "compiles")
    grpo_over_sft = compared("sft", "grpo")
    margin = [row["eval_rewards/margins"] for row in ipo.metrics() if "eval_rewards/margins" in row][-1]
    return lines, [
        (
            "the language adapter lowers held-out perplexity",
            lower.high < 0,
            f"{perplexities['base']:.4f} → {perplexities['lang_adapter']:.4f}; nats per token, paired by document: "
            f"{lower.value:+.5f} [{lower.low:+.5f}, {lower.high:+.5f}]",
        ),
        (
            "SFT beats the adapter in pass@1",
            sft_over_adapter.delta.low > 0,
            f"{sft_over_adapter.delta.value:+.1%}, p {sft_over_adapter.p:.1g}",
        ),
        ("IPO costs at most 2 points of pass@1", ipo_over_sft.delta.value >= -0.02, f"{ipo_over_sft.delta.value:+.1%}"),
        (
            "IPO raises the compile rate or the margin on held-out pairs",
            compiles.delta.value > 0 or margin > 0,
            f"compile rate {compiles.delta.value:+.1%}, margin {margin:+.3f} (0 before)",
        ),
        (
            "GRPO beats SFT by 15 points of pass@1, exact McNemar p < 0.001",
            grpo_over_sft.delta.value >= 0.15 and grpo_over_sft.p < 0.001,
            f"{grpo_over_sft.delta.value:+.1%} [{grpo_over_sft.delta.low:+.1%}, {grpo_over_sft.delta.high:+.1%}], "
            f"{grpo_over_sft.better} better, {grpo_over_sft.worse} worse, p {grpo_over_sft.p:.1g}",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--store", type=Path, default=ROOT / "runs" / "regime")
    parser.add_argument("--pipeline", default=str(ROOT / "configs/pipeline/tiny.yaml"))
    options = parser.parse_args()
    text, holds = [f"# The tiny pipeline, seeds {' '.join(map(str, options.seeds))}", ""], True
    text += [
        f"Made by `python tests/bench/regime.py --seeds {' '.join(map(str, options.seeds))}` on "
        f"{hardware.device().name}. Rates are over held-out tasks with Wilson intervals at 95 %, greedy decoding.",
    ]
    for seed in options.seeds:
        store = options.store / f"seed-{seed}"
        began = time.monotonic()
        # Only what trains is seeded anew: every seed is measured on the same tasks.
        pipelines.run(pipelines.load(options.pipeline, None, [f"{phase}.seed={seed}" for phase in PHASES[1:]]), store)
        lines, claims = measure(store)
        seconds = sum(run.info["seconds"] for run in runs.listing(store) if run.finished)
        n = evaluations(store)["grpo"].info["metrics"]
        text += ["", f"## Seed {seed}", ""]
        text += [
            f"{n['heldout']['n']} tasks of unseen compositions, {n['unseen_family']['n']} of unseen families; "
            f"{seconds / 60:.1f} minutes of runs, {(time.monotonic() - began) / 60:.1f} by the clock.",
            "",
            "| phase | compile rate | pass@1 | pass@1, unseen families | perplexity |",
            "|---|---|---|---|---|",
            *lines,
            "",
            *(f"- {'holds' if held else '**DOES NOT HOLD**'}: {words} ({numbers})" for words, held, numbers in claims),
        ]
        holds = holds and all(held for _, held, _ in claims)
    out = Path(__file__).with_suffix(".md")
    out.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
