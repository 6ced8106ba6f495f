"""General benchmarks through lm-evaluation-harness, an extra: what training on Rust made a model forget.

It is imported where a config asks for it and nowhere else. Its own result is kept beside the samples, and its numbers
come from it: a mean over documents with the interval of any other set of tasks, anything else with its standard error.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nbcore import runs
from nbcore.config.evaluate import Harness
from nbcore.core.suggest import did_you_mean
from nbcore.evaluation import measures
from nbcore.runs import commit, layout
from nbcore.training import logits

KEPT = ("results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "task_hashes")
NORMAL = 1.96  # standard errors on either side of a 95 % interval
CLOSE = 1e-6  # as near as two sums of the same numbers come
LACKING = (
    "harness: lm-evaluation-harness is not installed here; `bash colab_setup.sh --with lm-eval` installs it, or leave "
    "harness out of the config"
)


def require(wanted: Harness, others: Sequence[str]) -> None:
    """Raise ValueError where the harness is missing, or where one of its tasks is called as another part is."""
    if importlib.util.find_spec("lm_eval") is None:
        raise ValueError(LACKING)
    for name in wanted.tasks:
        if name in others:
            raise ValueError(f"harness.tasks: {name!r} is the name of a task set as well; give that another name")


def measure(model: Any, tokenizer: Any, name: str, wanted: Harness, seed: int) -> dict[str, Any]:
    """The harness's own result of one of its tasks or groups, with its samples: JSON's own types only.

    Raises ValueError for a task that it does not know, or whose data cannot be had.
    """
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    known = TaskManager(include_path=wanted.include_path, include_defaults=wanted.include_path is None)
    if name not in known.all_tasks:
        where = f"the YAML files of {wanted.include_path}" if wanted.include_path else "lm-evaluation-harness"
        raise ValueError(f"harness.tasks: {name!r} is no task of {where}{did_you_mean(name, known.all_tasks)}")
    try:
        result = simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=wanted.batch_size),
            tasks=[name],
            task_manager=known,
            num_fewshot=wanted.num_fewshot,
            limit=wanted.limit,
            apply_chat_template=wanted.chat,
            bootstrap_iters=1000,
            **{f"{which}_seed": seed for which in ("random", "numpy_random", "torch_random", "fewshot_random")},
        )
    except (OSError, ValueError) as error:
        words = " ".join(str(error).split())[:300]
        raise ValueError(
            f"harness.tasks: {name!r} could not be measured: {words}; where its data set is out of reach, set "
            "harness.include_path to a folder with a task of your own on a local file"
        ) from error
    plain = json.dumps(result, default=str)
    return json.loads(plain, parse_constant=lambda _: None)  # NaN and Infinity are no JSON


def keep(run: runs.Run, name: str, result: Mapping[str, Any]) -> None:
    """Keep a result in the run, without its samples, beside those of other tasks."""
    results = kept(run) | {name: {key: result[key] for key in KEPT if key in result}}
    commit.write_durably(run.path / layout.HARNESS, json.dumps(results, indent=1) + "\n")


def kept(run: runs.Run) -> dict[str, Any]:
    """The results that a run has kept, by the name of the task or group."""
    path = run.path / layout.HARNESS
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def rows(result: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A row for each document of a task or group: {"id", "family": the task, metric: its number, …}."""
    found: dict[str, dict[str, Any]] = {}
    for leaf in _leaves(result, name):
        for sample in result["samples"][leaf]:
            id_ = f"{leaf}/{sample['doc_id']}"
            row = found.setdefault(id_, {"id": id_, "family": leaf, "doc_hash": sample.get("doc_hash")})
            for metric in sample["metrics"]:
                if isinstance(sample[metric], bool | int | float):
                    row[_called(f"{metric},{sample['filter']}")] = float(sample[metric])
    return list(found.values())


def numbers(result: Mapping[str, Any], name: str, own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{"n": documents, metric: {"value", "low", "high", "n"}}. A value without an interval of any kind is left out of
    these, and stands in "alone"."""
    measured: dict[str, Any] = {"n": len(own)}
    alone = {}
    for key, value in result["results"][name].items():
        if "," not in key or "_stderr," in key or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        metric, error = _called(key), result["results"][name].get(key.replace(",", "_stderr,"))
        having = [row for row in own if metric in row]
        is_rate = all(0 <= row[metric] <= 1 for row in having)
        mean = measures.over_tasks(having, lambda row, metric=metric: row[metric], is_rate)
        if mean and abs(mean["value"] - value) < CLOSE * max(1.0, abs(value)):
            measured[metric] = mean
        elif isinstance(error, int | float) and math.isfinite(error):
            low, high = value - NORMAL * error, value + NORMAL * error
            measured[metric] = {"value": value, "low": low, "high": high, "n": len(own)}
        else:
            alone[metric] = value
    return {**measured, **({"alone": alone} if alone else {})}


def each(
    run: runs.Run, model: Any, tokenizer: Any, names: Sequence[str], doing: Callable[[str, int, int], None]
) -> Iterator[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """(name, rows, numbers) of tasks, one after the other; its result is in the run by then. Raises NotFinite for a
    model whose logits are no numbers: the harness takes the first of choices that are all NaN, and counts it."""
    config = run.config
    for name in names:
        doing(f"lm-evaluation-harness: {name}", 0, 0)
        with logits.finite(model):
            result = measure(model, tokenizer, name, config.harness, config.seed)
        keep(run, name, result)
        own = rows(result, name)
        yield name, own, numbers(result, name, own)


def _leaves(result: Mapping[str, Any], name: str) -> list[str]:
    """The tasks of a group, and of the groups in it; of a task itself."""
    if name in result["samples"]:
        return [name]
    return [leaf for each in result["group_subtasks"].get(name, ()) for leaf in _leaves(result, each)]


def _called(key: str) -> str:
    """What a metric is called here: "acc" for "acc,none", "exact_match_strict-match" for "exact_match,strict-match"."""
    metric, _, filtered = key.partition(",")
    return metric if filtered == "none" else f"{metric}_{filtered}"
