"""The house rules, each a short test: floors, light imports, modules one can read, nothing risky, nothing local."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from nbcore import config as configs
from nbcore.runs import layout

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 260
WITHOUT_TORCH = ("core", "stats", "config", "grading", "chat", "tasks", "runs", "data", "agent", "gates", "view")
# Rooms of one floor that may import others of it: a gate asks whether data are clean and an adapter loads, and
# shows what it decided; an agent repairs the faults that data puts into code; training lets a policy play in the
# agent's environment.
BESIDE = {"gates": ("data", "training", "view"), "agent": ("data",), "training": ("agent",)}
BESIDE["report"] = ("phases",)  # the evaluation: an audit measures anew what it has recorded
# Imported only where a person asked for them, so not in requirements.txt.
OPTIONAL = {"google", "IPython", "lm_eval", "xllamacpp"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted((ROOT / "nbcore").rglob("*.py"))}
every_module = pytest.mark.parametrize("name", MODULES)


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def imports(name: str) -> set[str]:
    """Absolute names that a module imports, anywhere in it: inside functions too."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: relative import; write the full name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def edges(name: str) -> set[str]:
    """The nbcore modules among them: `from nbcore.runs import run` is nbcore.runs.run if there is such a module."""
    found = set()
    for target in imports(name):
        while target and target not in MODULES:
            target = target.rpartition(".")[0]
        if target and target != "nbcore":
            found.add(target)
    return found - {name}


@cache
def rooms() -> dict[str, tuple[str, int]]:
    """Top-level module -> its room and the room's floor, from the table in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text().split("## Floors")[1].split("##")[0]
    found = {}
    for floor, row in re.findall(r"^ {4}(\d) +(.+)$", text, flags=re.MULTILINE):
        for room, more in re.findall(r"(\w+)(?: \(([^)]*)\))?", row):
            found |= {member: (room, int(floor)) for member in [room, *re.findall(r"\w+", more)]}
    return found


def top(name: str) -> str:
    """nbcore.runs.run -> runs; empty for nbcore itself."""
    return name.split(".")[1] if "." in name else ""


# --- structure ----------------------------------------------------------------------------------------------


@every_module
def test_imports_point_downward(name):
    if name in ("nbcore", "nbcore.__main__"):  # the door, above every floor
        return
    assert top(name) in rooms(), f"{name}: give '{top(name)}' a room and a floor in ARCHITECTURE.md"
    room, floor = rooms()[top(name)]
    for target in edges(name):
        other, below = rooms()[top(target)]
        allowed = other == room or other in BESIDE.get(room, ())
        assert allowed or below < floor, f"{name} (floor {floor}) imports {target} (floor {below})"


@every_module
def test_phases_do_not_import_each_other(name):
    if top(name) == "phases":
        others = {target for target in edges(name) if top(target) == "phases"}
        assert not others, f"{name} imports {others}: phases meet on disk"


@every_module
def test_a_program_is_extracted_in_grading_alone(name):
    """The verdict carries the program that was judged. Another extraction elsewhere would measure another function."""
    if top(name) != "grading":
        names = {target.rpartition(".")[2] for target in imports(name)}
        assert "extract" not in names, f"{name}: use the verdict's `code`"


def test_no_import_cycles():
    graph = {name: edges(name) for name in MODULES}
    while graph:
        leaves = [name for name, targets in graph.items() if not targets & graph.keys()]
        assert leaves, f"a cycle among {sorted(graph)}"
        for name in leaves:
            del graph[name]


@every_module
def test_a_module_says_what_it_is_and_is_read_in_one_sitting(name):
    docstring = ast.get_docstring(tree(name))
    assert docstring and docstring.splitlines()[0].rstrip().endswith((".", ":")), f"{name}: one sentence, first line"
    lines = len(MODULES[name].read_text().splitlines())
    assert lines <= MAX_LINES or "Longer than" in docstring, f"{name}: {lines} lines and no reason in its docstring"


def phase_facts(node: ast.AST) -> str | None:
    """What a node says of one phase by name: the phase itself as a string, or the class of its config. "data" is a word
    of many meanings: as a phase it is only told where it is compared with one, or looked up among them."""
    entries = {name: entry.config.__name__ for name, entry in configs.TABLE.items()}
    match node:
        case ast.Constant(value="data"):
            return None
        case ast.Compare() | ast.Subscript() if '"data"' in (code := ast.unparse(node).replace("'", '"')):
            return "'data'" if re.search(r"phase|TABLE|PHASES", code) else None
        case ast.Constant(value=str(text)) if text in entries:
            return f"{text!r}"
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in entries.values():
            return name
    return None


@every_module
def test_a_fact_about_a_phase_stands_in_the_table_or_in_the_phase(name):
    """Eight general rooms once knew phases by name; a ninth phase would have been wrong in each that forgot it."""
    if top(name) in ("phases", "config"):
        return
    found = [(node.lineno, fact) for node in ast.walk(tree(name)) if (fact := phase_facts(node))]
    if top(name) == "data":  # the room that one phase is made of
        found = [(line, fact) for line, fact in found if fact != "Data"]
    assert not found, (
        f"{MODULES[name].relative_to(ROOT)}: {found}: ask nbcore.config.TABLE, or add a field to its Entry"
    )


@pytest.mark.parametrize(
    "code",
    [
        'run.phase == "sft"',
        'run.phase == "data"',
        'configs.TABLE["data"]',
        'if phase in ("ipo", "grpo"): pass',
        'LABELS = {"sft": "SFT"}',
        "isinstance(c, x.Sft)",
    ],
)
def test_the_rule_about_phases_bites(code):
    assert any(phase_facts(node) for node in ast.walk(ast.parse(code)))


def built_by_hand(node: ast.AST, names: set[str]) -> bool:
    """Whether code spells a name of the run store, or puts a run's id together, that layout.py has a name for."""
    match node:
        case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str(text))):  # path / "adapter"
            return bool(names & set(text.split("/")))
        case ast.Constant(value=str(text)):
            return "." in text and text in names
        case ast.Attribute(value=ast.Attribute(attr="parent"), attr="name"):  # f"{path.parent.name}/{path.name}"
            return True
    return False


@every_module
def test_names_of_the_run_store_stand_in_its_layout(name):
    """Three modules that each knew them disagreed about which files a copy leaves out."""
    names = {value for word, value in vars(layout).items() if word.isupper() and isinstance(value, str)}
    if name != "nbcore.runs.layout":
        lines = [node.lineno for node in ast.walk(tree(name)) if built_by_hand(node, names)]
        assert not lines, f"{name}:{lines}: nbcore.runs.layout has a name for that"


@pytest.mark.parametrize("bench", sorted((ROOT / "tests" / "bench").glob("*.py")), ids=lambda path: path.name)
def test_a_bench_runs_by_its_path(bench):
    """`python tests/bench/agent.py`, as README has it, found no nbcore: it ran only with PYTHONPATH set."""
    code = bench.read_text("utf-8")
    if first := re.search(r"^(from|import) (nbcore|tests)\b", code, re.MULTILINE):
        assert "sys.path" in code[: first.start()]


# --- light imports ------------------------------------------------------------------------------------------


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_nbcore_is_light():
    assert not loaded_after("import nbcore") & {"torch", "numpy", "pydantic", "transformers", "datasets", "matplotlib"}


def test_the_lower_floors_work_without_torch():
    names = [name for name in MODULES if top(name) in WITHOUT_TORCH]
    if names:
        # torch is not merely unused but absent: None in sys.modules makes importing it an error.
        loaded_after("sys.modules['torch'] = None; import " + ", ".join(names))


def test_every_import_is_in_the_lock_set():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {normal(line.split("==")[0]) for line in lines if "==" in line}
    owners = packages_distributions()
    for name in MODULES:
        packages = {target.split(".")[0] for target in imports(name)} - sys.stdlib_module_names - OPTIONAL - {"nbcore"}
        for package in packages:
            found = {normal(owner) for owner in owners.get(package, [package])}
            assert found & pinned, f"{name} imports {package}: pin it in requirements.txt"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- nothing risky ------------------------------------------------------------------------------------------


def complaints(node: ast.AST) -> str | None:
    match node:
        case ast.ExceptHandler(type=None):
            return "bare except"
        case ast.Call(func=ast.Name(id="hasattr" | "eval" | "exec" as called)):
            return f"{called}()"
        case ast.keyword(arg="trust_remote_code", value=ast.Constant(value=True)):
            return "trust_remote_code=True runs a stranger's code"
        case ast.keyword(arg="weights_only", value=ast.Constant(value=False)):
            return "weights_only=False unpickles"
        case ast.Attribute(value=ast.Name(id="yaml"), attr="load" | "load_all" | "full_load" | "unsafe_load" as called):
            return f"yaml.{called}: use safe_load"
        case ast.Import(names=names) if {alias.name for alias in names} & {"pickle", "dill", "shelve", "marshal"}:
            return "pickle runs code on loading: use JSON or safetensors"
        case ast.ImportFrom(module="pickle" | "dill" | "shelve" | "marshal"):
            return "pickle runs code on loading: use JSON or safetensors"
    return None


@every_module
def test_nothing_risky(name):
    if name == "nbcore.grading.python.driver":
        return  # executing what it is given is what it is for: it runs nowhere but in the jail
    found = [(node.lineno, why) for node in ast.walk(tree(name)) if (why := complaints(node))]
    assert not found, f"{MODULES[name].relative_to(ROOT)}: {found}"


@pytest.mark.parametrize(
    "code",
    [
        "try:\n  pass\nexcept:\n  pass",
        "hasattr(a, 'b')",
        "eval('1')",
        "f(trust_remote_code=True)",
        "torch.load(p, weights_only=False)",
        "yaml.load(text)",
        "import pickle",
        "from pickle import loads",
    ],
)
def test_the_rule_above_bites(code):
    assert any(complaints(node) for node in ast.walk(ast.parse(code)))


def test_model_eval_is_not_eval():
    assert not any(complaints(node) for node in ast.walk(ast.parse("model.eval(); yaml.safe_load(text)")))


# --- clean and movable --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["check", "."], ["format", "--check", "nbcore", "tests"]], ids=["check", "format"]
)
def test_ruff(arguments):
    done = subprocess.run([sys.executable, "-m", "ruff", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]


def test_ruff_says_the_same_whatever_a_person_keeps_beside_the_project(tmp_path):
    """`runs/` after the first command made ruff sort an import otherwise, and the second command ended red; a folder
    called like a package, a script of one's own or an executed out.ipynb would do the same."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("nbcore", "tests", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("runs", "data", "rust", "datasets", "trl", "yaml", "helpers", "src/nbcore"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("import os,sys\n")
    (tmp_path / "out.ipynb").write_text(
        (ROOT / "notebooks" / "04_sft.ipynb").read_text().replace("import os", "import  os")
    )
    for arguments in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run([sys.executable, "-m", "ruff", *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]


def tracked_texts():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listing.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_path_of_one_machine_in_a_tracked_file():
    local = re.compile(r"(?<![\w.}])/(?:wor" + r"k|roo" + r"t|home/\w+|Users/\w+)/")
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if local.search(line)
    ]
    assert not found, found


def test_one_address_for_the_project():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"].startswith("https://")
