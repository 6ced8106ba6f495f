"""Export: the trained model as a folder and as GGUF files, with the proof that it is the model that was trained.

W' = W + (alpha / r) · B·A, and for every targeted tensor <W' - W, Δ> / <Δ, Δ> = 1
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nbcore import runs
from nbcore.chat import template
from nbcore.core import lines
from nbcore.data import sources
from nbcore.runs import activity, commit, layout, pausing
from nbcore.tasks import sets
from nbcore.training import asking, fit, load, rollout
from nbcore.training.export import folder, gguf, gguf_parity, llama_cpp, merge, ollama, parity, talking
from nbcore.training.export import logits as texts
from nbcore.training.remembered import remembered
from nbcore.view import proof
from nbcore.view.live import Live

FIGURE = "parity.png"
MODELFILE = "Modelfile"
LORA = "adapter-lora.gguf"
PREFERRED = ("q8_0", "f16", "bf16")  # which file the Modelfile and a chat take first


@remembered
def data(run: runs.Run) -> dict[str, Any]:
    """What the export is measured with: prompts as ids, texts for the tokenizers, and held-out documents."""
    config = run.config
    tokenizer, form = load.tokenizer(run), asking.form(run)
    tasks = sets.tasks("katas", "heldout", config.greedy, config.seed)
    documents = []
    if config.perplexity_documents:
        documents = sources.documents({"katas": config.perplexity_documents}, "heldout", config.seed)
    return {
        "tasks": tasks,
        "prompts": [template.prompt_ids(tokenizer, sets.question(task, form)) for task in tasks],
        "chats": [sets.question(task, form) for task in tasks[:8]],
        "documents": documents,
        "tokenizer": tokenizer,
        "report": {
            "logits_texts": config.prompts,
            "greedy_prompts": len(tasks),
            "documents": len(documents),
            "prompt_form": form,
            "sha256": lines.digest([*tasks, *documents, *texts.texts(config.prompts)]),
        },
    }


def example(run: runs.Run) -> str:
    """The first prompt as both programs will see it."""
    return asking.example(run, data(run)["tasks"][0])


def write(run: runs.Run) -> dict[str, Any]:
    """Merge, prove, and leave model/ (or adapter/, with `form: adapter`); returns the proof, which parity.json holds.

    What is there already is not made again. Raises parity.Lost, naming the tensor or file, where something was lost,
    and runs.Paused where the disk is full.
    """
    return pausing.write(run.path, lambda: _write(run))


def _write(run: runs.Run) -> dict[str, Any]:
    config = run.config
    if run.finished or (known(run) and _target(run).is_dir()):
        return known(run)
    adapter = load.adapter_of(run.parent)
    if adapter is not None:
        folder.require_precision(run, runs.Run(adapter.parent))
    base = merge.local(load.base_location(load.base_of(run), run.store), load.revision_of(run))
    doing = activity.Activity(run.path, Live(config.phase).tell)
    if config.form == "adapter":
        if adapter is None:
            raise ValueError("form: 'adapter', and the parent has none; export it merged, or name a trained parent")
        if not _target(run).is_dir():
            folder.adapter_only(adapter, base, load.base_of(run), _target(run))
        report = {"form": "adapter", **folder.check_adapter(adapter, base, _target(run))}
        parity.require(report)
    else:
        report = folder.merged(
            adapter,
            str(base),
            _target(run),
            dtype=config.dtype,
            shard_gb=config.shard_gb,
            device=config.device,
            prompts=config.prompts,
            compute=config.model.dtype,
            trained_in_4_bits=adapter is not None and config.model.quantization == "nf4",
            hashed=False,
            doing=doing,
        )
        parity.require(report)
        report = {"form": "merged", **report}
    report |= {"base": load.base_of(run), "adapter": run.parent.id if adapter else None}
    return _keep(run, report | {"files": folder.hashes(_target(run))})


def known(run: runs.Run) -> dict[str, Any]:
    """The proof as far as it goes by now; empty before there is one."""
    path = run.path / parity.FILE
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _target(run: runs.Run) -> Path:
    return run.path / (layout.ADAPTER if run.config.form == "adapter" else layout.MODEL)


def convert(run: runs.Run) -> dict[str, Any]:
    """GGUF files of the merged model, each compared with it in llama.cpp, and a Modelfile; returns the whole proof.

    Without llama.cpp's converter or without xllamacpp one line says how to get it, and what needs it is left out.
    Raises parity.Lost, naming what differs, where a file does not say what the model says, runs.Paused on a full disk.
    """
    return pausing.write(run.path, lambda: _convert(run))


def _convert(run: runs.Run) -> dict[str, Any]:
    config, report = run.config, known(run)
    kinds = config.gguf if config.form == "merged" else []  # of an adapter there is nothing but its own file
    if run.finished or not (kinds or config.gguf_lora):
        return report
    doing = activity.Activity(run.path, Live(config.phase).tell)
    made: dict[str, Any] = dict(report.get("gguf", {}))
    place, model = run.path / layout.GGUF, run.path / layout.MODEL
    for kind in [kind for kind, numbers in made.items() if numbers.get("problems")]:
        (place / gguf.file_name(kind)).unlink(missing_ok=True)  # what was wrong once is made anew, not looked at again
    try:
        skipped = gguf.make(model, place, kinds, doing)
        made.pop("lora", None)  # of an attempt without a converter
        if config.gguf_lora and (adapter := load.adapter_of(run.parent)):
            base = merge.local(load.base_location(load.base_of(run), run.store), load.revision_of(run))
            try:
                gguf.make_lora(adapter, base, load.base_of(run), place / LORA)
            except ValueError as error:  # it knows no LoRA on experts, and all else of the export is sound
                print(f"{run.id}: {LORA} is left out: {error}", flush=True)
                made["lora"] = {"skipped": str(error)}
    except llama_cpp.Missing as error:
        print(f"{run.id}: {error}", flush=True)
        left = [*kinds, *(["lora"] if config.gguf_lora else [])]
        return _keep(run, report | {"gguf": {kind: {"skipped": str(error)} for kind in left}})
    for kind, why in skipped.items():
        print(f"{run.id}: {gguf.file_name(kind)} is left out: {why}", flush=True)
        made[kind] = {"skipped": why}
    if kinds:
        _compare(run, [kind for kind in kinds if kind not in skipped], made, doing)
        _write_modelfile(run)
    problems = [problem for numbers in made.values() for problem in numbers.get("problems", ())]
    report = _keep(run, report | {"gguf": made, "problems": problems, "ok": not problems})
    parity.require(report)
    return report


def _compare(run: runs.Run, kinds: list[str], made: dict[str, Any], doing: Any) -> None:
    """Compare each file in llama.cpp, and put its numbers and what is wrong with it into `made`."""
    kinds = [kind for kind in kinds if "greedy" not in made.get(kind, {}) or made[kind].get("problems")]
    try:
        llama_cpp.runner()
    except llama_cpp.Missing as error:
        print(f"{run.id}: the GGUF files are not compared: {error}", flush=True)
        made |= {kind: {"skipped": f"made, not compared: {error}"} for kind in kinds}
        return
    rows = data(run)
    reference = None
    for kind in kinds:
        if reference is None:
            reference = gguf_parity.Reference(run.path / layout.MODEL, rows, run.config, "cpu", doing)
        path = run.path / layout.GGUF / gguf.file_name(kind)
        shown = (rows["tokenizer"], rows["chats"], rows["prompts"], reference)
        numbers, wrong = gguf_parity.check(path, kind, *shown, doing)
        made[kind] = {**numbers, "problems": wrong, "sha256": commit.sha256(path)}


def _write_modelfile(run: runs.Run) -> None:
    place = run.path / layout.GGUF
    files = [gguf.file_name(kind) for kind in (*PREFERRED, *run.config.gguf)]
    first = next((name for name in files if (place / name).is_file()), None)
    if first is None:
        return
    stops = parity.stops_of(run.path / layout.MODEL)
    context = run.config.context or gguf.context_of(place / first)
    commit.write_durably(place / MODELFILE, ollama.modelfile(first, data(run)["tokenizer"], stops, context))


def _keep(run: runs.Run, report: dict[str, Any]) -> dict[str, Any]:
    parity.write(run.path, report)
    if figure := proof.drawn(report):
        figure.savefig(run.path / FIGURE, dpi=130, facecolor="white")
    return report


def see(run: runs.Run, count: int = 1) -> list[dict]:
    """The first held-out tasks, answered by what was exported and graded: by llama.cpp where it is there, else by
    transformers. Rows as `view.answers` shows them, kept in samples.jsonl."""
    if kept := run.samples():
        return kept
    tasks = data(run)["tasks"][:count]
    talker = talking.of_run(run)
    with talker.opened() as speaker:
        form = data(run)["report"]["prompt_form"]
        completions = [speaker.complete(sets.question(task, form), 256) for task in tasks]
    grader = rollout.grader(run)
    judged = rollout.graded(tasks, completions, grader.grade)
    rows = [
        {
            **verdict,
            "prompt": task["prompt"],
            "completion": done["text"],
            "truncated": done["truncated"],
            "answered_by": talker.engine,
        }
        for task, done, verdict in zip(tasks, completions, judged, strict=True)
    ]
    run.sample(*rows)
    return rows


def ask(run: runs.Run, question: str, most: int = 256) -> str:
    """What the exported model answers to a question."""
    with talking.of_run(run).opened() as speaker:
        return speaker.complete([{"role": "user", "content": question}], most)["text"]


def files(run: runs.Run) -> list[str]:
    """What a run exported: its folders and files, by name."""
    made = [path.name for path in sorted((run.path / layout.GGUF).glob("*")) if not path.name.startswith(".")]
    return [f"{_target(run).name}/", *(f"{layout.GGUF}/{name}" for name in made)]


def finish(run: runs.Run) -> runs.Run:
    """Commit the run. Raises ValueError where nothing was exported, parity.Lost where something was lost."""
    report = known(run)
    if not run.finished:
        if not report or not _target(run).is_dir():
            raise ValueError(f"{run.id}: nothing has been exported yet; run the cells above first")
        folder.require_proved(_target(run), report)
        pausing.write(run.path, lambda: _keep(run, report))
    return fit.finish(run, metrics(report), data(run)["report"])


def metrics(report: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a report that stand in run.json."""
    pairs = {name: pair["max"] for name, pair in report.get("logits", {}).items() if isinstance(pair, dict)}
    numbers: dict[str, Any] = {
        "tensors": len(report["tensors"]),
        "max_logit_difference": max(pairs.values(), default=None),
    }
    for kind, made in report.get("gguf", {}).items():
        if "greedy" in made:
            numbers[f"{kind} agreement"] = made["greedy"]["agreement"]
        if "perplexity" in made:
            numbers[f"{kind} perplexity change"] = made["perplexity"]["change"]
    return numbers
