"""What an export loses and costs: merge, proof, memory and GGUF files of four small models, as a table.

    python tests/bench/export.py [--only seedling,smollm2]     the table goes to export.md; half an hour, mostly SmolLM2
    python tests/bench/export.py --place FOLDER                what was measured in FOLDER before is not measured again

It needs llama.cpp as README says, llama-quantize for q4_k_m, and `python -m nbcore models fetch smollm2`. The seedling
and SmolLM2 get an adapter of six steps; the tiny Qwen3 and gpt-oss (LoRA on attention and experts) are random, so their
answers say nothing but whether two programs compute the same. Seconds and memory are of processes that do nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402 - the path must be set before the imports
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from nbcore import config as configs  # noqa: E402
from nbcore.chat import template  # noqa: E402
from nbcore.core import hardware  # noqa: E402
from nbcore.data import sources  # noqa: E402
from nbcore.tasks import sets  # noqa: E402
from nbcore.training.export import folder, gguf, gguf_parity, logits, merge  # noqa: E402
from tests.training import small_adapters as small  # noqa: E402

TABLE = Path(__file__).with_suffix(".md")
MODELS = {
    "seedling": "the seedling",
    "qwen3": "tiny Qwen3",
    "gpt_oss": "tiny GptOss, experts",
    "smollm2": "SmolLM2-135M",
}
KINDS = ["f32", "f16", "q8_0", "q4_k_m"]
EVERYWHERE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SIZE = {"hidden_size": 64, "intermediate_size": 64, "head_dim": 32}


def made(name: str, place: Path) -> tuple[Path, Path]:
    """Base and adapter of a model; what has been trained in `place` before is taken again."""
    if name in ("seedling", "smollm2"):
        base = merge.local(name)
        return base, place / "adapter" if (place / "adapter").is_dir() else trained(base, place / "adapter")
    if (place / "adapter").is_dir():
        return place / "base", place / "adapter"
    base = small.base(place / "base", name, **SIZE)
    experts = {"target_parameters": small.EXPERTS} if name == "gpt_oss" else {}
    return base, small.adapter(place / "adapter", base, **experts)


def trained(base: Path, out: Path, steps: int = 6) -> Path:
    """A LoRA adapter on every linear layer after a few steps on the texts that the proof reads."""
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    torch.manual_seed(0)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=EVERYWHERE, task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=3e-4)
    for text in logits.TEXTS[:steps]:
        ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)[: logits.TOKENS]])
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(out)
    return out


def held() -> float:
    """Most memory of this process by now that no file stands behind, in MiB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) / 1024


def watched(work: Any) -> dict[str, float]:
    """Seconds of a piece of work, and how far memory rose over what the imports took, in MiB, looked at every 5 ms."""
    import threading

    before, most, done = held(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], held())

    thread = threading.Thread(target=watch)
    thread.start()
    began = time.monotonic()
    try:
        work()
    finally:
        seconds = time.monotonic() - began
        done.set()
        thread.join()
    return {"seconds": seconds, "mib": most[0] - before}


def child(name: str, place: Path, what: str) -> dict[str, float]:
    """The same measured in a process of its own."""
    command = [sys.executable, __file__, "--measure", what, "--place", str(place), "--only", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, place: Path, what: str) -> dict[str, float]:
    """'load': the base in float32. 'merge': merge and compare tensors. 'prove': logits as well; leaves the folder."""
    base, adapter = made(name, place)
    if what == "load":
        return watched(lambda: AutoModelForCausalLM.from_pretrained(base, dtype="float32", use_safetensors=True))
    prompts = 8 if what == "prove" else 0
    with tempfile.TemporaryDirectory(dir=place) as other:
        out = place / "out" if what == "prove" else Path(other) / "out"
        shutil.rmtree(out, ignore_errors=True)  # else it would be looked at again, and not merged
        return watched(lambda: folder.merged(adapter, str(base), out, prompts=prompts))


def row(name: str, place: Path, prompts: int) -> dict[str, Any]:
    """All numbers of a model, which stand in row.json beside what was made for them."""
    place.mkdir(exist_ok=True)
    if (place / "row.json").is_file():
        return json.loads((place / "row.json").read_text("utf-8"))
    made(name, place)
    costs = {what: child(name, place, what) for what in ("load", "merge", "prove")}
    report = json.loads((place / "out" / "parity.json").read_text("utf-8"))
    print(f"{name}: {costs} {report['logits']['adapter_reloaded']}", flush=True)
    form = "chat" if name == "smollm2" else "bare"
    config = configs.load(ROOT / "configs/export/tiny.yaml")
    tokenizer, tasks = AutoTokenizer.from_pretrained(place / "out"), sets.tasks("katas", "heldout", prompts, 0)
    data = {
        "tokenizer": tokenizer,
        "prompts": [template.prompt_ids(tokenizer, sets.question(task, form)) for task in tasks],
        "documents": sources.documents({"katas": config.perplexity_documents}, "heldout", 0),
    }
    chats = [sets.question(task, form) for task in tasks[:8]]
    files: dict[str, Any] = {}
    try:
        skipped = gguf.make(place / "out", place / "gguf", KINDS)
        reference = gguf_parity.Reference(place / "out", data, config, "cpu")
        for kind in KINDS:
            if kind in skipped:
                files[kind] = {"skipped": skipped[kind]}
                continue
            shown = (tokenizer, chats, data["prompts"], reference)
            numbers, problems = gguf_parity.check(place / "gguf" / gguf.file_name(kind), kind, *shown)
            files[kind] = {**numbers, "problems": problems}
            print(f"{name}, {kind}: {numbers} {problems}", flush=True)
    except ValueError as error:  # an architecture that llama.cpp does not know
        files["f32"] = {"skipped": str(error)}
    numbers = {"name": name, "costs": costs, "logits": report["logits"], "tensors": len(report["tensors"])}
    numbers["gguf"] = files
    (place / "row.json").write_text(json.dumps(numbers), "utf-8")
    return numbers


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "# Export: what is lost and what it costs",
        "",
        f"Made by `python tests/bench/export.py` on {hardware.device().name}, one thread, float32, seed 0.",
        "",
        "*Apart*: the largest difference of a logit between the model with its adapter and the folder read back, over",
        "8 texts of at most 64 tokens, computed in float64 (`training/export/double.py`); wanted is 1e-5. Memory is",
        "what no file stands behind, beyond imports: of loading the base in float32, of the merge with every tensor",
        "compared, and of the merge with the logits' proof, which has a whole model in memory. Wanted of the merge: at",
        "most the base + 10 %. Where other work shares the core, seconds are an upper bound.",
        "",
        "| model | tensors | largest logit | apart | merge, s | + proof, s | base, MiB | merge, MiB | + proof, MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in rows:
        costs, said = each["costs"], each["logits"]
        numbers = [f"{costs[what]['seconds']:.1f}" for what in ("merge", "prove")]
        numbers += [f"{costs[what]['mib']:.0f}" for what in ("load", "merge", "prove")]
        apart = f"{said['adapter_reloaded']['max']:.1e}"
        first = [MODELS[each["name"]], str(each["tensors"]), f"{said['largest']:.1f}", apart]
        lines.append(f"| {' | '.join([*first, *numbers])} |")
    lines += [
        "",
        "GGUF files in llama.cpp against the merged model in transformers: texts tokenised alike, share of the tokens",
        "of greedy answers that agree (prompts with at most 48 tokens each, each answer up to its first difference),",
        "change of the perplexity on 12 held-out documents. Wanted: f32 100 %, f16 95 %; q8_0 within 1 %, q4_k_m",
        "within 5 %. llama.cpp computes with keys and values in float32 here, so that what differs is the file's.",
        "",
        "The tiny Qwen3 and GptOss are random and repeat one token: a first token that differs costs the whole answer,",
        "and their greedy agreement once quantised is luck. The perplexity is what tells.",
        "SmolLM2's weights come from 4 bits: quantised to 4 once more, they miss what is wanted.",
        "",
        "| model | file | texts | prompts | tokens asked | greedy agreement | perplexity | problems |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in rows:
        for kind, numbers in each["gguf"].items():
            lines.append(f"| {MODELS[each['name']]} | {kind} | {' | '.join(cells(numbers))} |")
    return "\n".join(lines) + "\n"


def cells(numbers: dict[str, Any]) -> list[str]:
    """What the table says of one file."""
    if "skipped" in numbers or "greedy" not in numbers:
        return ["", "", "", "", "", numbers.get("skipped") or "; ".join(numbers["problems"])]
    tokens, greedy = numbers["tokenizer"], numbers["greedy"]
    change = numbers["perplexity"]["change"]
    texts = f"{tokens['same']} of {tokens['of']}"
    wrong = "none" if not numbers["problems"] else "; ".join(numbers["problems"])
    return [texts, str(greedy["prompts"]), str(greedy["tokens"]), f"{greedy['agreement']:.1%}", f"{change:+.2%}", wrong]


def main() -> None:
    """Measure and write the table anew after each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(MODELS))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--prompts", type=int, default=50, help="of greedy answers; fewer are quicker")
    parser.add_argument("--place", type=Path, help="keep what is made in this folder")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.only, given.place, given.measure)))
        return
    with tempfile.TemporaryDirectory() as fresh:
        rows = []
        for name in given.only.split(","):
            rows.append(row(name, (given.place or Path(fresh)) / name, given.prompts))
            TABLE.write_text(table(rows), "utf-8")
    print(TABLE.read_text("utf-8"))


if __name__ == "__main__":
    main()
