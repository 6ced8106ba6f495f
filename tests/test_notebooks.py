"""The notebooks: canonical form, and (slow) each of them for real through papermill, in one chain."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from nbcore import config as configs
from nbcore import runs
from nbcore.config import knobs
from tests.gates import made

REPO = Path(__file__).resolve().parents[1]
NOTEBOOKS = {path.stem: path for path in sorted((REPO / "notebooks").glob("*.ipynb"))}
PHASE = {"_".join(stem.split("_")[1:]): stem for stem in NOTEBOOKS if stem != "00_start"}
CHECKS = {"00_start": "stages"}  # the cell that looks at the parameters; elsewhere it is the config cell
MIDDLE = {  # for model, loss, train
    "lang_adapter": ["model", "loss", "train", "experts"],
    "sft": ["model", "loss", "train", "experts"],
    "evaluate": ["model", "metric", "measure", "agent"],
    "data": ["rules", "mixture", "build"],
    "export": ["model", "merge", "gguf"],
}
NO_GPU = ("00_start", "01_data")  # they need none, and must not spend a Colab user's quota of them
CANONICAL = {
    "accelerator": "GPU",
    "colab": {"gpuType": "T4", "provenance": []},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def cells(stem, kind="code"):
    notebook = json.loads(NOTEBOOKS[stem].read_text("utf-8"))
    return {cell["id"]: cell for cell in notebook["cells"] if cell["cell_type"] == kind}


def source(cell):
    return "".join(cell["source"])


def python(cell):
    """The source without what only IPython understands."""
    return "\n".join(re.sub(r"^(\s*)[!%].*", r"\1pass", line) for line in source(cell).split("\n"))


def code_lines(cell):
    return [line for line in source(cell).split("\n") if line.strip() and not line.strip().startswith("#")]


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_canonical_form(stem):
    raw = NOTEBOOKS[stem].read_bytes()
    assert b"\r" not in raw and raw.endswith(b"}\n")
    notebook = json.loads(raw)
    assert raw.decode() == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    nbformat.validate(nbformat.from_dict(notebook))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    plain = {"colab": {"provenance": []}}
    expected = CANONICAL if stem not in NO_GPU else {k: v for k, v in CANONICAL.items() if k != "accelerator"} | plain
    assert notebook["metadata"] == expected
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[a-z0-9-]{1,64}", id_) for id_ in ids)
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"tags"}
        assert source(cell).strip() == source(cell) != ""
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_names_and_tags(stem):
    assert re.fullmatch(r"\d\d_[a-z0-9_]+", stem)
    tagged = {id_: cell["metadata"]["tags"] for id_, cell in cells(stem).items() if cell["metadata"]}
    expected = {"drive": ["skip-execution"], "parameters": ["parameters"]}
    assert tagged == expected | ({"tune": ["skip-execution"]} if stem != "00_start" else {})


@pytest.mark.parametrize(("phase", "stem"), PHASE.items())
def test_the_skeleton_is_the_same_everywhere(phase, stem):
    middle = MIDDLE.get(phase, ["model", "loss", "train"])
    skeleton = ["setup", "drive", "parameters", "config", "tune", "run", "data", *middle, "see", "finish"]
    assert list(cells(stem)) == skeleton
    assert next(iter(cells(stem, "markdown"))) == "title"


@pytest.mark.parametrize(("phase", "stem"), PHASE.items())
def test_four_doors_one_name(phase, stem):
    assert (REPO / "nbcore" / "phases" / f"{phase}.py").is_file()
    assert (REPO / "configs" / phase).is_dir() and phase in configs.PHASES
    everything = "\n".join(source(cell) for cell in cells(stem).values())
    assert f"configs/{phase}/tiny.yaml" in everything and f"from nbcore.phases import {phase}\n" in everything


@pytest.mark.parametrize(("phase", "stem"), PHASE.items())
def test_parameters_are_written_from_the_schema(phase, stem):
    assert source(cells(stem)["parameters"]) == knobs.parameters_source(phase)
    config = source(cells(stem)["config"])
    for name, path in configs.TABLE[phase].knobs.items():
        assert f'"{path}": {name}' in config, f"{name} is offered and not used"


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_budget_and_style(stem):
    total = 0
    for id_, cell in cells(stem).items():
        count = len(code_lines(cell))
        assert count <= (25 if id_ == "setup" else 12), f"{id_}: {count} lines"
        total += count
        tree = ast.parse(python(cell))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        assert not [node for node in ast.walk(tree) if isinstance(node, kinds)], id_
        assert not re.search(r"\binput\(", source(cell)), id_
        shell = [line for line in source(cell).split("\n") if re.match(r"\s*[!%]", line)]
        assert not shell or id_ == "setup"
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert module.split(".")[0] in {"nbcore", "os", "pathlib", "html"}, f"{id_} imports {module}"
    assert total <= 60


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_address_badge_and_links(stem):
    address = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    title = source(cells(stem, "markdown")["title"])
    setup = source(cells(stem)["setup"])
    ref = re.search(r"--branch (\S+)", setup)[1]
    path = f"{address.removeprefix('https://github.com/')}/blob/{ref}/notebooks/{stem}.ipynb"
    assert f"(https://colab.research.google.com/github/{path})" in title
    assert f'\naddress = "{address}"\n' in setup
    prose = "\n".join(source(cell) for cell in cells(stem, "markdown").values())
    assert "$$" in title, "a formula in the title"
    for target in re.findall(r"\]\((?!http)([^)]+)\)", prose):
        assert (REPO / "notebooks" / target).is_file(), target
    everything = prose + "\n".join(source(cell) for cell in cells(stem).values())
    for target in re.findall(r"notebooks/(\w+\.ipynb)", everything):
        assert target.removesuffix(".ipynb") in NOTEBOOKS, target


@pytest.mark.parametrize(
    "path", sorted((REPO / "configs").glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_yaml_begins_with_its_launch_command(path):
    first = path.read_text("utf-8").splitlines()[0]
    assert first.startswith("# ") and str(path.relative_to(REPO)) in first
    if path.parent.name in PHASE and first.startswith("# papermill"):
        assert f"notebooks/{PHASE[path.parent.name]}.ipynb" in first


def in_a_kernel(code):
    """Output of Python code that has `shell`, an IPython that keeps what it ran, as every notebook's kernel does."""
    begin = "from IPython.core.interactiveshell import InteractiveShell\nfrom nbcore.core import environment\n"
    begin += "shell = InteractiveShell.instance(user_ns={'environment': environment})\n"
    begin += "run = lambda cell: shell.run_cell(cell, store_history=True)\n"
    done = subprocess.run([sys.executable, "-c", begin + code], cwd=REPO, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_notebook_refuses_a_parameter_that_is_none_of_its_own():
    """`max_step: 1` trained with the YAML's steps and exited 0."""
    book = {
        stem: [source(cells(stem)[id_]) for id_ in ("parameters", CHECKS.get(stem, "config"))] for stem in NOTEBOOKS
    }
    output = in_a_kernel(f"""
for stem, (own, checks) in {book!r}.items():
    for injected in ("", "# Parameters\\nstore = 'here'\\n", "# Parameters\\nstoree = 1\\n"):
        run(own)
        run(injected)
        print("|", stem, "storee" in injected, run(checks).error_in_exec)
""")
    lines = [line.split(" ", 3) for line in output.splitlines() if line.startswith("| ")]
    assert len(lines) == 3 * len(NOTEBOOKS)
    for _, stem, misspelt, error in lines:
        words = "parameter 'storee' is unknown here (did you mean 'store'?)" if misspelt == "True" else "None"
        assert error.startswith(words), (stem, error)


def test_the_run_takes_what_the_panel_last_said(tmp_path):
    """A changed knob reaches the run through a list that the config cell makes: a machine that skips the panel runs the
    same cells as a person, and nothing writes into a notebook's globals."""
    wanted = ("parameters", "config", "tune", "run")
    book = {phase: [source(cells(stem)[id_]) for id_ in wanted] for phase, stem in PHASE.items()}
    output = in_a_kernel(f"""
from tests.view.test_knobs import fields
for phase, (own, config, tune, open_run) in {book!r}.items():
    taken = []
    for turn in (False, True):
        run(own + "\\nstore = {str(tmp_path)!r}")
        run(config)
        if turn:
            fields(run(tune).result)["seed"].value = "7"
        run(open_run.split("\\n")[0])
        taken.append(shell.user_ns["cfg"].seed)
    print("|", phase, *taken)
""")
    assert [line for line in output.splitlines() if line.startswith("| ")] == [f"| {phase} 0 7" for phase in PHASE]
    assert "globals()" not in str(book)


# --- for real -----------------------------------------------------------------------------------------------

QUICK = {
    "data": {"sources": {"katas": 64}, "heldout_documents": 16},
    "pretrain": {"max_steps": 2, "corpus.sources": {"katas": 64}, "validation_documents": 16},
    "lang_adapter": {"max_steps": 2, "corpus.sources": {"katas": 64}, "validation_documents": 16},
    "sft": {"max_steps": 2, "limit": 200},
    "ipo": {"max_steps": 2, "tasks.limit": 24, "rollouts": 6},
    "grpo": {"max_steps": 2, "batch_size": 16, "tasks.limit": 20},
    "evaluate": {"heldout": 12, "unseen": 4, "perplexity_documents": 16},
    "export": {"prompts": 2, "greedy": 2, "gguf": ["f16"], "perplexity_documents": 2},
}


def papermill(folder, phase, store, **parameters):
    """(exit code, last line of the error, executed copy) of a notebook run as the handbook says."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "out.ipynb"
    command = [sys.executable, "-m", "papermill", "-k", "python3", "-l", "python", "--cwd", str(REPO)]
    command += ["--no-progress-bar", str(NOTEBOOKS[PHASE[phase]]), str(copy)]
    command += ["-y", yaml.safe_dump({"store": str(store), **parameters})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return done.returncode, lines[-1] if lines else "", copy


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Every phase for two steps, each from the one before, in one store."""
    store = tmp_path_factory.mktemp("chain")
    seen = {}
    for phase in ("data", "pretrain", "lang_adapter", "sft", "ipo", "grpo"):
        seen[phase] = papermill(store / "out" / phase, phase, store, overrides=QUICK[phase])
    seen["evaluate"] = papermill(
        store / "out" / "evaluate", "evaluate", store, overrides=QUICK["evaluate"], parent="sft"
    )
    seen["export"] = papermill(store / "out" / "export", "export", store, overrides=QUICK["export"])
    return store, seen


@pytest.mark.slow
@pytest.mark.parametrize("phase", QUICK)
def test_notebook_leaves_a_committed_run(chain, phase):
    store, seen = chain
    code, error, copy = seen[phase]
    assert code == 0, error
    run = runs.find(store, phase)
    assert run.verify() == [] and run.info["status"] == "finished"
    assert run.config == configs.load(REPO / "configs" / phase / "tiny.yaml", QUICK[phase])
    usual = "sft" if phase == "evaluate" else configs.TABLE[phase].parent
    assert (run.parent.phase if run.parent else None) == usual
    if phase not in ("data", "evaluate", "export"):
        losses = [row["loss"] for row in run.metrics() if "loss" in row]
        assert len(losses) == 2 and all(abs(loss) < 1e3 for loss in losses)
        assert (run.path / ("model" if phase == "pretrain" else "adapter") / "adapter_model.safetensors").is_file() or (
            phase == "pretrain"
        )
    executed = nbformat.read(copy, as_version=4)
    outputs = {cell.id: cell.outputs for cell in executed.cells if cell.cell_type == "code"}
    skipped = {"drive", "tune"}
    assert all(outputs[id_] for id_ in cells(PHASE[phase]) if id_ not in skipped | {"parameters"}), (
        "something to look at"
    )
    assert not any(outputs[id_] for id_ in skipped)


@pytest.mark.slow
def test_a_finished_run_is_looked_at_and_not_trained_again(chain, tmp_path):
    store, _ = chain
    before = runs.find(store, "sft")
    code, error, _ = papermill(tmp_path, "sft", store, overrides=QUICK["sft"])
    assert code == 0, error
    after = runs.find(store, "sft")
    assert after == before and after.verify() == []


MISTAKES = {
    "unknown key": (dict(overrides={"learning_rat": 1}), ["learning_rat", "known here"]),
    "wrong type": (dict(overrides={"max_steps": "many"}), ["max_steps", "many"]),
    "wrong knob": (dict(learning_rate=-1), ["learning_rate", "-1", "greater than 0"]),
    "no such parameter": (dict(max_step=1), ["max_step", "did you mean 'max_steps'"]),
    "no such config": (dict(config="configs/sft/huge.yaml"), ["configs/sft/huge.yaml", "configs/<phase>"]),
    "no such parent": (dict(parent="sft/never"), ["parent", "sft/never", "runs list"]),
    "parent never run": (dict(), ["parent", "lang_adapter", "first"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line_and_leaves_nothing(tmp_path, mistake):
    parameters, words = MISTAKES[mistake]
    code, error, _ = papermill(tmp_path, "sft", tmp_path / "store", **parameters)
    assert code == 1 and error.startswith(("ValueError: ", "FileNotFoundError: "))
    assert all(word in error for word in words), error
    assert runs.listing(tmp_path / "store") == []


@pytest.mark.slow
def test_with_require_blessed_a_notebook_opens_on_a_blessed_parent_alone(tmp_path):
    store = tmp_path / "store"
    parent = made.trained(store, "lang_adapter")
    code, error, _ = papermill(tmp_path, "sft", store, require_blessed=True)
    assert code == 1 and error.startswith(f"ValueError: parent: {parent.id} is not blessed: no gate has judged it")
    assert f"python -m nbcore gate {parent.id}" in error and runs.listing(store, "sft") == []


@pytest.mark.slow
def test_a_corrupt_parent_is_refused(chain, tmp_path):
    store, _ = chain
    parent = runs.find(store, "lang_adapter")
    weights = parent.path / "adapter" / "adapter_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        known = runs.listing(store)
        code, error, _ = papermill(tmp_path, "sft", store, overrides={"max_steps": 1, "seed": 5})
        assert code == 1 and error.startswith("ValueError: parent: "), error
        assert parent.id in error and "adapter_model.safetensors" in error and "again" in error
        assert runs.listing(store) == known
    finally:
        weights.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "field"), [("sft", "rows"), ("grpo", "tasks.source")])
def test_an_empty_data_set_is_refused(chain, tmp_path, phase, field):
    store, _ = chain
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    code, error, _ = papermill(tmp_path, phase, store, overrides={"max_steps": 1, field: str(empty)})
    assert code == 1 and error.startswith("ValueError: "), error
    assert f"{field}: " in error and "empty.jsonl is empty" in error and "needs" in error, error
    assert not any(run.finished for run in runs.listing(store, phase) if str(empty) in str(run.config))
