#!/usr/bin/env bash
# Sets the project up on Colab, on a Debian or Ubuntu machine, or in CI; then runs the pipeline or the tests.
# Safe to repeat: a finished setup is recognised in a second, a half-done one is completed.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="$root/.venv"
log="${TMPDIR:-/tmp}/nbcore-setup.$$.log"
cpu_index="https://download.pytorch.org/whl/cpu"   # PyTorch's own index of builds without CUDA
needs_gpu=" unsloth vllm flash-attn kernels "
py=""          # the interpreter everything is installed for
prefix=""      # where it lives, and where the stamp is written

usage() {
  cat <<'TEXT'
Usage: bash colab_setup.sh [--with EXTRA[,EXTRA]] [run|test] [ARGUMENT...]

  bash colab_setup.sh              set up: Python packages and the Rust toolchain
  bash colab_setup.sh run          set up, then the whole pipeline on the tiny profile, then the report
  bash colab_setup.sh test         set up, then all tests, the slow ones too

Arguments after run or test are passed on:
  bash colab_setup.sh run --only sft,ipo --set sft.max_steps=2
  bash colab_setup.sh test -m "not slow" -k place

  --with EXTRA   also install an optional part of pyproject.toml: lab (JupyterLab), lm-eval (general benchmarks
                 in evaluations); with an NVIDIA GPU unsloth, vllm, flash-attn and kernels (docs/backends.md); nothing
                 uses harmony yet
  --help         this text

Needs bash, git and Python 3.11 to 3.13. On Colab packages go into the runtime, and what the runtime brings
itself (torch, numpy, pandas, the widgets) stays as it is: run this before any import, then go on. Everywhere
else they go into .venv beside this script; nothing outside it is touched except a missing Rust toolchain,
which comes from rustup, or from apt where that is out of reach. Without an NVIDIA GPU, torch is the CPU build.

Next: python -m nbcore doctor   tells what this machine can train, and what is missing.
TEXT
}

say() { printf '[setup] %s\n' "$*"; }

fail() {  # MESSAGE [EXIT CODE]
  printf 'colab_setup.sh: %s\n' "$1" >&2
  exit "${2:-1}"
}

fail_with_log() {
  tail -n 15 "$log" >&2 || true
  fail "$1 (full log: $log)"
}

# --- where are we -------------------------------------------------------------------------------------------

on_colab() {
  [[ -n "${COLAB_RELEASE_TAG:-}" ]] && return 0
  [[ -d /content ]] && python3 -c 'import sys, importlib.util as u; sys.exit(u.find_spec("google.colab") is None)' \
    >/dev/null 2>&1
}

has_nvidia_gpu() { nvidia-smi -L >/dev/null 2>&1; }

# Run it rather than look for it: version managers leave commands on PATH that only print an error.
python_works() {  # COMMAND [MODULES]
  "$1" -c "import sys${2:+, $2}; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" >/dev/null 2>&1
}

pick_python() {  # the machine's own choice first; one that can make a venv before one that cannot
  local modules candidate
  for modules in "venv, ensurepip" ""; do
    for candidate in python3 python3.13 python3.12 python3.11; do
      if python_works "$candidate" "$modules"; then command -v "$candidate"; return 0; fi
    done
  done
  return 1
}

apt_install() {
  local sudo=""
  command -v apt-get >/dev/null || return 1
  if [[ "$(id -u)" != 0 ]]; then
    sudo -n true >/dev/null 2>&1 || return 1
    sudo="sudo -n"
  fi
  $sudo apt-get update >>"$log" 2>&1 </dev/null || return 1
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-remove --no-install-recommends "$@" \
    >>"$log" 2>&1 </dev/null
}

# --- Python packages ----------------------------------------------------------------------------------------

make_venv() {  # PYTHON
  if python_works "$venv/bin/python" pip; then return 0; fi
  if [[ -e "$venv" ]]; then
    say ".venv does not work (no Python 3.11 to 3.13 with pip in it): building it again"
    rm -rf "$venv"
  fi
  if ! python_works "$1" "venv, ensurepip"; then
    local version
    version="$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    say "Python $version cannot make a virtual environment yet: installing python$version-venv"
    apt_install "python$version-venv" || apt_install python3-venv ||
      fail "Python $version has no venv module: run 'apt-get install python$version-venv' as root, then this again"
  fi
  "$1" -m venv "$venv" >>"$log" 2>&1 || fail_with_log "could not make a virtual environment in $venv"
}

pip_install() {
  "$py" -m pip install --disable-pip-version-check --no-input --root-user-action=ignore "$@" >>"$log" 2>&1
}

frozen() { "$py" -m pip list --disable-pip-version-check --format=freeze 2>>"$log"; }

stamp_key() {
  "$py" - "$root/requirements.txt" <<'PYTHON'
import hashlib, pathlib, platform, sys
digest = hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest()
print("requirements", digest, "python", platform.python_version())
PYTHON
}

stamped() {  # LINE: is it in the stamp? The first line is the key, the others name extras.
  [[ -f "$prefix/nbcore-setup.stamp" ]] && grep -qxF "$1" "$prefix/nbcore-setup.stamp"
}

# Colab's kernel, front end and google-colab package are built against these, and torch against its driver.
kept_on_colab() {  # reads `pip list --format=freeze`, writes a constraints file
  local names="torch|torchvision|torchaudio|numpy|pandas|requests"
  names="$names|ipykernel|ipython|ipywidgets|traitlets|jupyter[-_]client|tornado"
  grep -iE "^($names)==" || true
}

requirements_without() {  # CONSTRAINTS: reads requirements, drops comments and whatever is already pinned there
  local kept line name
  kept=" $(sed 's/==.*//' "$1" | tr 'A-Z_.' 'a-z--' | tr '\n' ' ')"
  while IFS= read -r line; do
    line="${line%%#*}"
    line="${line//[[:space:]]/}"
    name="$(printf '%s' "${line%%==*}" | tr 'A-Z_.' 'a-z--')"
    if [[ -n "$name" && "$kept" != *" $name "* ]]; then printf '%s\n' "$line"; fi
  done
}

moved() {  # BEFORE AFTER: two lists of NAME==VERSION, as a table of what changed
  "$py" - "$1" "$2" <<'PYTHON'
import sys
before, after = (dict(line.strip().split("==", 1) for line in open(path) if "==" in line) for path in sys.argv[1:])
rows = [(n, before.get(n, "-"), after.get(n, "-")) for n in sorted({*before, *after}, key=str.lower)]
rows = [row for row in rows if row[1] != row[2]]
print("\n".join(f"  {name:<28} {old:>18} -> {new}" for name, old, new in rows) or "  nothing moved")
PYTHON
}

# pip takes a package for installed once its metadata is there, even if it was killed while copying the rest.
forget_incomplete_packages() {  # only in our own .venv, where every package is pip's
  "$py" - <<'PYTHON'
import importlib.metadata, pathlib, shutil, sysconfig
for info in pathlib.Path(sysconfig.get_path("purelib")).glob("*.dist-info"):
    files = importlib.metadata.Distribution.at(info).files   # None without RECORD, which pip writes last
    if files is None or not all(file.locate().exists() for file in files if file.suffix in {".py", ".so"}):
        print(f"[setup] {info.name} is incomplete: installing it again", flush=True)
        shutil.rmtree(info)
PYTHON
}

install_torch() {
  local pin
  pin="$(sed -n 's/^\(torch==[0-9.]*\).*/\1/p' "$root/requirements.txt")"
  if has_nvidia_gpu || [[ "$(uname -s)" != Linux ]]; then
    pip_install "$pin"
    return
  fi
  # No GPU: the default build would bring gigabytes of CUDA. pip's own configuration may know a CPU build already.
  pip_install "$pin+cpu" && return
  if answers "$cpu_index/torch/" && pip_install "$pin+cpu" --extra-index-url "$cpu_index"; then return; fi
  say "no CPU build of torch is in reach: taking the default build, which is several GB"
  pip_install "$pin"
}

answers() {  # URL, within five seconds
  "$py" - "$1" <<'PYTHON' >/dev/null 2>&1
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=5)
PYTHON
}

install_packages() {
  rm -f "$prefix/nbcore-setup.stamp"   # from here until the last line below, the environment is not to be trusted
  local work
  work="$(mktemp -d)"
  if on_colab; then
    say "installing Python packages into the Colab runtime (about two minutes)"
    frozen >"$work/before"
    kept_on_colab <"$work/before" >"$work/constraints"
  else
    say "installing Python packages into .venv (a few minutes the first time)"
    : >"$work/constraints"
    forget_incomplete_packages
    install_torch || fail_with_log "could not install torch"
  fi
  requirements_without "$work/constraints" <"$root/requirements.txt" >"$work/requirements"
  pip_install -r "$work/requirements" -c "$work/constraints" || fail_with_log "could not install requirements.txt"
  if on_colab; then
    remove_old_torchao
    frozen >"$work/after"
    say "kept: $(tr '\n' ' ' <"$work/constraints")"
    say "moved:"
    moved "$work/before" "$work/after"
  fi
  rm -rf "$work"
  stamp_key >"$prefix/nbcore-setup.stamp"
}

remove_old_torchao() {  # PEFT refuses to build any adapter beside a torchao older than 0.16, and works without one
  if "$py" - <<'PYTHON' 2>/dev/null
import sys, importlib.metadata as m
sys.exit(tuple(map(int, m.version("torchao").split(".")[:2])) >= (0, 16))
PYTHON
  then
    "$py" -m pip uninstall -y torchao >>"$log" 2>&1
  fi
}

extra_requirements() {  # PYTHON EXTRA: its requirements; or the names there are, and exit code 1
  "$1" - "$root/pyproject.toml" "$2" <<'PYTHON'
import sys, tomllib
extras = tomllib.load(open(sys.argv[1], "rb"))["project"]["optional-dependencies"]
found = extras.get(sys.argv[2])
print("\n".join(found) if found else ", ".join(extras))
sys.exit(found is None)
PYTHON
}

install_extra() {  # NAME
  local work
  work="$(mktemp -d)"
  say "installing the extra '$1'"
  # The lock set holds: an extra that does not fit it is an error, not a silent upgrade. numpy alone may give way,
  # because vllm's tokeniser wants an older one than the rest.
  if on_colab; then frozen | kept_on_colab >"$work/constraints"; else : >"$work/constraints"; fi
  requirements_without "$work/constraints" <"$root/requirements.txt" | grep -v '^numpy==' >"$work/pins"
  extra_requirements "$py" "$1" >"$work/requirements"
  pip_install -r "$work/requirements" -c "$work/constraints" -c "$work/pins" || fail_with_log "could not install '$1'"
  rm -rf "$work"
  printf 'with %s\n' "$1" >>"$prefix/nbcore-setup.stamp"
}

set_up_python() {  # EXTRA...
  local base extra names
  base="$(pick_python)" ||
    fail "no Python 3.11 to 3.13 found: install one (Debian, Ubuntu: apt-get install python3 python3-venv)"
  for extra in "$@"; do
    names="$(extra_requirements "$base" "$extra")" || fail "--with: there is no extra '$extra'; there are: $names" 2
    if [[ "$needs_gpu" == *" $extra "* ]] && ! has_nvidia_gpu; then
      fail "--with $extra needs an NVIDIA GPU, and nvidia-smi finds none: leave it out"
    fi
  done
  if on_colab; then
    py="$base"
    prefix="$("$py" -c 'import sys; print(sys.prefix)')"
  else
    py="$venv/bin/python"
    prefix="$venv"
    if ! { python_works "$py" && stamped "$(stamp_key)"; }; then make_venv "$base"; fi
  fi
  if ! stamped "$(stamp_key)"; then install_packages; fi
  for extra in "$@"; do
    if ! stamped "with $extra"; then install_extra "$extra"; fi
  done
}

# --- Rust ---------------------------------------------------------------------------------------------------

rust_works() {
  local tool
  for tool in cargo rustc clippy-driver rustfmt; do
    "$tool" --version >/dev/null 2>&1 || return 1
  done
}

rust_from_rustup() {
  if command -v rustup >/dev/null; then
    rustup component add clippy rustfmt rust-src >>"$log" 2>&1 && return
    rustup toolchain install stable --profile minimal -c clippy -c rustfmt -c rust-src >>"$log" 2>&1
    return
  fi
  command -v curl >/dev/null || return 1
  local script
  script="$(mktemp)"
  curl --proto '=https' --tlsv1.2 -sSf --connect-timeout 10 --max-time 60 https://sh.rustup.rs -o "$script" 2>>"$log" &&
    sh "$script" -y --profile minimal -c clippy -c rustfmt -c rust-src --no-modify-path >>"$log" 2>&1 </dev/null
  local code=$?
  rm -f "$script"
  return "$code"
}

# Debian's own rustc can be years old; the -web packages, which it builds its browsers with, are current.
rust_from_apt() {
  { apt_install rustc-web cargo-web rust-web-clippy rustfmt-web || apt_install rustc cargo rust-clippy rustfmt; } &&
    { apt_install rust-src || say "no source of Rust's library (rust-src), which the larger profiles train on"; }
}

set_up_rust() {
  export PATH="${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH"
  if ! rust_works; then
    say "installing the Rust toolchain (cargo, rustc, clippy, rustfmt)"
    { rust_from_rustup && rust_works; } || { rust_from_apt && rust_works; } ||
      say "no Rust toolchain: install it from https://rustup.rs, then run this again; grading cannot work without"
  fi
  if ! command -v cc >/dev/null; then
    apt_install gcc libc6-dev || say "no C linker (cc), which rustc needs: run 'apt-get install gcc libc6-dev' as root"
  fi
}

# --- main ---------------------------------------------------------------------------------------------------

main() {
  local command="" extras=()
  while [[ $# -gt 0 ]]; do
    case "$1" in
      -h | --help) usage; exit 0 ;;
      --with)
        [[ -n "${2:-}" ]] || fail "--with needs a name, such as --with lab" 2
        IFS=, read -r -a extras <<<"$2"
        shift 2 ;;
      --with=*) IFS=, read -r -a extras <<<"${1#--with=}"; shift ;;
      run | test) command="$1"; shift; break ;;
      *) fail "unknown argument '$1'; see: bash colab_setup.sh --help" 2 ;;
    esac
  done

  cd "$root"
  set_up_python ${extras[@]+"${extras[@]}"}
  set_up_rust
  rm -f "$log"
  say "ready: $("$py" --version), $(rustc --version 2>/dev/null || echo 'no rustc'), after $SECONDS s"

  export PATH="$(dirname "$py"):$PATH"
  case "$command" in
    run) exec "$py" -m nbcore run configs/pipeline/tiny.yaml "$@" ;;
    # Two processes, a file each at a time: what the tests of a file share is made once.
    test) exec "$py" -m pytest -m "slow or not slow" -n 2 --dist loadfile --no-loadscope-reorder "$@" ;;
    *) on_colab || say "next: source .venv/bin/activate && python -m nbcore doctor" ;;
  esac
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then main "$@"; fi
