"""A person's crate: what cannot be repaired is said in a line, and a repair is put back without touching the tests."""

import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.agent import own_crate
from nbcore.agent.episode import Episode, advance
from nbcore.agent.played import difference
from nbcore.agent.problem import Problem
from nbcore.agent.tools import FILE_LINE
from nbcore.core import lines
from nbcore.grading.grader import RustGrader
from tests.agent.honest import CRATES, MANIFEST, UNIT, WRONG

BESIDE = "#[test]\nfn doubles_beside() {\n    assert_eq!(sums::double(3), 6);\n}\n"


@pytest.fixture(scope="module")
def grader():
    with_ = RustGrader(jobs=1, lint=False)
    yield with_
    with_.close()


def crate(folder, code=f"{WRONG}\n{UNIT}", manifest=MANIFEST, beside=""):
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(manifest)
    (folder / "src" / "lib.rs").write_bytes(code.encode(errors="surrogatepass"))
    if beside:
        (folder / "tests").mkdir()
        (folder / "tests" / "beside.rs").write_text(beside)
    return folder


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"manifest": MANIFEST + '[dependencies]\nserde = "1"\n'}, "needs crates that are not here"),
        ({"manifest": '[workspace]\nmembers = ["a"]\n'}, "of a workspace"),
        ({"manifest": "[package\n"}, "is no TOML"),
        ({"manifest": ""}, r"has no \[package\]"),
        ({"code": WRONG}, "has no tests, and they are what says"),
        ({"manifest": f'{MANIFEST}build = "make.rs"\n'}, "has a make.rs, which is not run"),
        ({"code": "// \ud800"}, "src/lib.rs is no UTF-8 text"),
        ({"code": WRONG.replace("3", "2") + UNIT, "beside": BESIDE}, "all 2 tests of .* pass: there is nothing"),
    ],
)
def test_what_cannot_be_repaired_is_said_in_a_line(made, words, tmp_path, grader):
    with pytest.raises(ValueError, match=words) as error:
        own_crate.opened(crate(tmp_path / "a", **made), grader)
    assert "\n" not in str(error.value)


def test_no_crate_is_said(tmp_path, grader):
    """The name of a folder would else be looked for among the crates that Debian installs."""
    with pytest.raises(FileNotFoundError, match=r"has no Cargo\.toml"):
        own_crate.opened(tmp_path, grader)


@pytest.mark.parametrize("beside", ["", BESIDE])
def test_a_repair_is_put_back_and_the_tests_stay(beside, tmp_path, grader):
    """The agent's copy holds no tests. Written as it is, it would delete those of the person."""
    unit = UNIT if not beside else ""
    shown = "/// ```\n/// sums::double(2);\n/// ```\n" if not beside else ""
    folder = crate(tmp_path / "a", f"// sums\n{shown}{WRONG}\n{unit}".replace("\n", "\r\n"), beside=beside)
    own = own_crate.opened(folder, grader)
    assert "0 of 1 tests pass" in own.said and "test" not in own.problem.files["src/lib.rs"]
    left = {"src/lib.rs": own.problem.files["src/lib.rs"].replace("value * 3", "let two = 2;\n    value * two")}
    changed = own_crate.repaired(own, left)
    passes, words = own_crate.judged(own, changed, grader)
    assert passes and not own_crate.judged(own, {}, grader)[0]
    assert ("doc tests are not run" in words) == (not beside), "nobody is told that what was not run passes"
    before = (folder / "src" / "lib.rs").read_bytes()
    own_crate.apply(own, changed)
    after = (folder / "src" / "lib.rs").read_bytes()
    assert after == before.replace(b"value * 3", b"let two = 2;\r\n    value * two")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(
        ["Cargo.toml", "lib.rs", *(["beside.rs"] if beside else [])]
    )
    with pytest.raises(ValueError, match="has changed since it was read"):
        own_crate.apply(own, changed)


CHEATS = {  # what an agent may leave: name -> (path, text in front of the tests in that file)
    "ends the tests after a report of its own": (
        "src/lib.rs",
        "use std::io::Write;\npub fn double(_: i64) -> i64 {\n    std::io::stdout().write_all("
        'b"\\ntest result: ok. 1 passed; 0 failed; 0 ignored\\n").unwrap();\n    std::process::exit(0)\n}\n',
    ),
    "other asserts": ("src/lib.rs", f"macro_rules! assert_eq {{ ($($x:tt)*) => {{}} }}\n{WRONG}"),
    "no tests": ("src/checks.rs", "#![cfg(any())]\n"),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_change_that_makes_the_tests_pass_and_repairs_nothing_is_no_repair(name, tmp_path, grader):
    """`--yes` wrote it over the person's crate, and said that all tests pass."""
    path, left = CHEATS[name]
    inside = UNIT.partition("mod tests {\n")[2].rpartition("}")[0]
    apart = path != "src/lib.rs"
    folder = crate(tmp_path / "a", f"{WRONG}#[cfg(test)]\nmod checks;\n" if apart else f"{WRONG}\n{UNIT}")
    (folder / "tests").mkdir()
    (folder / "tests" / "other.rs").write_text("#[test]\nfn passes() {}\n")
    if apart:
        (folder / path).write_text(inside)
    own = own_crate.opened(folder, grader)
    passes, words = own_crate.judged(own, own_crate.repaired(own, own.problem.files | {path: left}), grader)
    assert not passes and ("can be made to pass: look at it" in words or "src/lib.rs: 0 of 1 pass" in words)


VALUE = (
    "#[derive(Debug)]\npub struct Value(pub i64);\nimpl PartialEq for Value {\n    fn eq(&self, other: &Value) -> bool "
    "{\n        self.0 == other.0\n    }\n}\npub fn double(value: i64) -> Value {\n    Value(value * 3)\n}\n"
)
MODULES = {"src/lib.rs": "mod a;\nmod b;\npub use a::double;\n", "src/b.rs": "#[test]\nfn passes() {}\n"}
OTHERS = "mod b;\npub fn double(value: i64) -> i64 {\n    value\n}\n"
TAKEN = {  # name -> (files of the crate, what an agent leaves of them)
    "a module and its tests": (
        {**MODULES, "src/a.rs": WRONG + UNIT},
        {"src/lib.rs": OTHERS + "mod c;\n", "src/c.rs": "#[test]\nfn doubles() {}\n"},
    ),
    "what does not compile": (
        {**MODULES, "src/a.rs": WRONG.replace("3", "true") + UNIT},
        {"src/lib.rs": OTHERS},
    ),
    "a condition": (
        {**MODULES, "src/a.rs": WRONG + UNIT},
        {"src/lib.rs": "#[cfg(not(test))]\nmod a;\nmod b;\n#[test]\nfn doubles() {}\n"},
    ),
    "what equals": (
        {"src/lib.rs": VALUE + UNIT.replace("4)", "super::Value(4))")},
        {"src/lib.rs": VALUE.replace("self.0 == other.0", "true")},
    ),
    "another answer to tests": (
        {"src/lib.rs": WRONG + UNIT},
        {"src/lib.rs": WRONG.replace("value * 3", "if cfg!(test) { 4 } else { value * 3 }")},
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_tests_that_pass_because_others_went_are_doubted(name, tmp_path, grader):
    """Their number alone was compared: `--yes` wrote a crate without the test that had failed, or with another sense
    of "equal"."""
    made, left = TAKEN[name]
    folder = crate(tmp_path / "a")
    for path, text in made.items():
        (folder / path).write_text(text)
    own = own_crate.opened(folder, grader)
    passes, words = own_crate.judged(own, own_crate.repaired(own, own.problem.files | left), grader)
    assert not passes and "look at it" in words and " of " in words, words


def test_a_module_that_comes_is_not_doubted(tmp_path, grader):
    """A missing import or module is a fault that agents repair."""
    folder = crate(tmp_path / "a", f"pub use a::double;\n{UNIT}")
    (folder / "src" / "a.rs").write_text(WRONG.replace("3", "2"))
    own = own_crate.opened(folder, grader)
    left = own.problem.files | {"src/lib.rs": "mod a;\npub use a::double;\n"}
    assert own_crate.judged(own, own_crate.repaired(own, left), grader) == (True, "src/lib.rs: 1 of 1 pass")


def test_a_last_line_without_its_end_takes_nothing_away(tmp_path, grader):
    """Models end a file without a line break: behind `} // done` the tests' own #[cfg(test)] became a comment."""
    folder = crate(tmp_path / "a", WRONG + UNIT)
    own = own_crate.opened(folder, grader)
    changed = own_crate.repaired(own, {"src/lib.rs": WRONG.replace("3", "2").rstrip() + " // done"})
    assert changed == {"src/lib.rs": WRONG.replace("3", "2").rstrip() + " // done\n" + UNIT}
    assert own_crate.repaired(own, {"src/lib.rs": WRONG.rstrip()}) == {}


def test_a_program_that_ends_before_its_tests_is_a_fault_as_others_are(tmp_path, grader):
    """It was told that the crate has no tests."""
    own = own_crate.opened(crate(tmp_path / "a", WRONG.replace("value * 3", "std::process::exit(0)") + UNIT), grader)
    assert own.said.startswith("src/lib.rs: early exit")
    changed = own_crate.repaired(own, {"src/lib.rs": WRONG.replace("3", "2")})
    assert own_crate.judged(own, changed, grader) == (True, "src/lib.rs: 1 of 1 pass")


def test_what_cannot_be_written_leaves_all_as_it_was(tmp_path, grader):
    """Of two files the first was left half applied beside its place, and a link was told as a file that had changed."""
    folder = crate(tmp_path / "a", f"mod a;\n{WRONG}{UNIT}")
    (folder / "real.rs").write_text("pub const A: u8 = 1;\n")
    (folder / "src" / "a.rs").symlink_to(folder / "real.rs")
    own = own_crate.opened(folder, grader)
    changed = own_crate.repaired(own, own.problem.files | {"src/lib.rs": "mod a;\nfn x() {}\n"})
    with pytest.raises(ValueError, match=r"a\.rs is a link, and nothing is written through links"):
        own_crate.apply(own, {**changed, "src/a.rs": "x\n"})
    (folder / "src" / ".z.rs.nbcore").mkdir()  # as where there is no room, or no right to write
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match=r"z\.rs cannot be written \(Is a directory\): nothing was applied"):
        own_crate.apply(own, {**changed, "src/z.rs": "x\n"})
    assert sorted(folder.rglob("*")) == before and WRONG in (folder / "src" / "lib.rs").read_text()


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("a\n", "a", "-a\n+a\n\\ No newline at end of file"),
        ("a\n", "a\r\n", "-a\n+a\r"),
        ("a\x0cb\n", "a\nb\n", "-a\x0cb\n+a\n+b"),
        ("", "a\n", "+a"),
    ],
)
def test_a_diff_shows_every_byte_that_differs(before, after, shown):
    """A person said yes to a change of which nothing was shown: the end of a last line, and other ends of lines."""
    told = difference({"a.rs": before}, {"a.rs": after}).split("\n")
    assert told[0] == "--- a/a.rs" and "\n".join(told[3:]) == shown


@pytest.mark.slow
@pytest.mark.parametrize("name", CRATES)
def test_an_odd_crate_is_repaired_and_nothing_else_of_it_changes(name, tmp_path, grader):
    """As a person's crate is: each was refused once, could not be built, or had other bytes of it rewritten."""
    folder = tmp_path / "around" / "crate"
    for path, text in CRATES[name].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text if isinstance(text, bytes) else text.encode())

    def on_the_disk():
        return {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}

    before = on_the_disk()
    own = own_crate.opened(folder, grader)
    episode = Episode.begun(own.problem, tmp_path / "episode")
    [path] = [path for path, text in own.problem.files.items() if "value * 3" in text]
    assert "assert" not in "".join(own.problem.files.values())  # no agent reads or edits the tests
    right = own.problem.files[path].replace("value * 3", "value * 2")
    for call, start in (("write_file", "wrote"), ("cargo_test", "all ")):
        written = f"{FILE_LINE}{path}\n{right}" if call == "write_file" else "{}"
        assert advance([(episode, episode.call(call, written))], grader)[0].startswith(start)
    changed = own_crate.repaired(own, episode.folder.texts())
    assert own_crate.judged(own, changed, grader)[0]
    own_crate.apply(own, changed)
    assert on_the_disk() == {path: text.replace(b"value * 3", b"value * 2") for path, text in before.items()}


READING = """
use std::path::Path;

const BYTES: &[u8] = include_bytes!("data/bytes.bin");
fn own() -> String { std::env::var("CARGO_MANIFEST_DIR").unwrap() }

#[test] fn by_its_path() {
    let text = std::fs::read_to_string("tests/data/three.txt").unwrap();
    assert_eq!(sums::double(text.trim().parse().unwrap()), 6);
}
#[test] fn by_its_folder() { assert_eq!(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(&own())); }
#[test] fn bytes() {
    assert_eq!(BYTES, [255, 0, 13, 10]);
    assert_eq!(std::fs::read(own() + "/tests/data/bytes.bin").unwrap(), BYTES);
}
#[test] fn a_folder() { assert_eq!(std::fs::read_dir("tests/data").unwrap().count(), 2); }
#[test] fn nothing_else() {
    for path in ["tests/beside.rs", "src/lib.rs", "/etc/passwd", "/proc/1/environ"] {
        assert!(std::fs::read(path).is_err());
    }
    assert!(std::fs::write("tests/data/three.txt", "4").is_err() && std::fs::write("new", "").is_err());
}
#[test] fn folders() { panic!("{} and {}/x", env!("CARGO_MANIFEST_DIR"), own()) }
"""


def test_tests_read_the_files_of_their_crate_and_no_others(tmp_path, grader):
    """Fixtures, files of bytes and the folder's name all failed: such a crate was told as broken, whatever was done."""
    folder = crate(tmp_path / "a", WRONG, beside=READING)
    (folder / "tests" / "data").mkdir()
    (folder / "tests" / "data" / "three.txt").write_text("3\n")
    (folder / "tests" / "data" / "bytes.bin").write_bytes(b"\xff\0\r\n")
    own = own_crate.opened(folder, grader)
    right = {"src/lib.rs": own.problem.files["src/lib.rs"].replace("3", "2")}
    lines.append(tmp_path / "kept.jsonl", own.problem.record())
    [kept] = lines.read(tmp_path / "kept.jsonl")
    [said] = own_crate.run(grader, [Problem.of_record(kept).test(right)])
    assert [name for name, passed in said["outcomes"].items() if not passed] == ["folders"], said["errors"]
    assert said["errors"][0]["message"].endswith("\n. and x"), "the same words in every folder"


def test_a_crate_that_reads_files_reads_no_others_for_an_agent(tmp_path, grader):
    """Where a crate read its README as it was built, an agent's include_str!("lib.rs") was built too, and showed it the
    tests that stand behind the library."""
    reads = '#![doc = include_str!("../README.md")]\n'
    folder = crate(tmp_path / "a", f"{reads}{WRONG}{UNIT}")
    (folder / "README.md").write_text("# Sums\n")
    problem = own_crate.opened(folder, grader).problem
    for code in (f"{reads}{WRONG}", f"// more\n{reads}{WRONG.replace('3', '2')}", WRONG):
        assert not problem.refused({"src/lib.rs": code})
    for more in ('include_str!("lib.rs")', 'include_str!(concat!("../", "README.md"))', 'include_str!("../README.md")'):
        code = f"{reads}{WRONG}const T: &str = {more};\n"
        assert problem.refused({"src/lib.rs": code}) == "src/lib.rs: file_macro"
        assert problem.refused({"src/lib.rs": code.replace(reads, "")}) == "src/lib.rs: file_macro" or "README" in more


def test_a_program_names_no_folder_of_this_machine(tmp_path, grader):
    """It printed where it stands, another folder each time: the same calls had other answers when played again."""
    code = WRONG.replace("value * 3", 'println!("{:?}", std::env::args().next()); value * 3')
    problem = replace(own_crate.opened(crate(tmp_path / "a"), grader).problem, files={"src/lib.rs": code})
    episode = Episode.begun(problem, tmp_path / "b")
    [said] = advance([(episode, episode.call("cargo_test", "{}"))], grader)
    assert 'Some("build/tests")' in said and "/tmp" not in said


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo says which crates are needed")
def test_no_program_that_a_crate_names_is_run_outside_the_jail(tmp_path, grader):
    """To say which crates are needed cargo asked the compiler that .cargo/config.toml named, on the machine itself."""
    folder = crate(tmp_path / "a", WRONG + UNIT, MANIFEST + '[dependencies]\nhelp = { path = "help" }\n')
    crate(folder / "help", "", MANIFEST.replace("sums", "help"))
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ntouch {tmp_path}/ran\nexec "$@"\n')
    program.chmod(0o755)
    (folder / ".cargo").mkdir()
    for field in ("rustc", "rustc-wrapper", "rustc-workspace-wrapper"):
        (folder / ".cargo" / "config.toml").write_text(f'[build]\n{field} = "{program}"\n')
        assert "0 of 1 tests pass" in own_crate.opened(folder, grader).said
    assert not (tmp_path / "ran").exists()


def test_a_linker_names_what_is_missing_and_no_folder(tmp_path, grader):
    """Its own words are a command with folders of this machine, other ones each time: no episode was replayed."""
    missing = '#[link(name = "zork")]\nextern "C" {\n    fn zork() -> i64;\n}\n'
    code = f"{missing}{WRONG.replace('value * 3', 'value * unsafe { zork() }')}"
    problem = replace(own_crate.opened(crate(tmp_path / "a"), grader).problem, files={"src/lib.rs": code})
    episode = Episode.begun(problem, tmp_path / "b")
    [said] = advance([(episode, episode.call("cargo_test", "{}"))], grader)
    assert "linking failed" in said and "-lzork" in said and "/" not in said


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abxy"), max_size=8), st.data())
def test_lines_that_the_agent_did_not_see_stay(old, new, data):
    """Wherever tests stand in a file, and whatever is written around them."""
    original = [(line, False) for line in old]
    for number in range(data.draw(st.integers(0, 3))):
        original.insert(data.draw(st.integers(0, len(original))), (f"a test {number}", True))
    places, at = [], 0
    for line, is_test in original:
        places += [(at, at + len(line) + 1)] if is_test else []
        at += len(line) + 1
    before, after, whole = (
        "".join(f"{line}\n" for line in lines).encode() for lines in (old, new, [line for line, _ in original])
    )
    made = own_crate.put_back(whole, places, before, after).decode().splitlines()
    assert [line for line in made if "test" not in line] == new
    assert [line for line in made if "test" in line] == [line for line, is_test in original if is_test]
    if old == new:
        assert made == [line for line, _ in original]


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo says which crates are needed")
def test_a_crate_with_vendored_dependencies_is_built_and_repaired(tmp_path, grader):
    """Most crates need others; those that are on the disk are built in the jail, and the agent sees none of them."""
    folder = tmp_path / "a"
    (folder / ".cargo").mkdir(parents=True)
    (folder / ".cargo" / "config.toml").write_text(
        '[source.crates-io]\nreplace-with = "vendored-sources"\n[source.vendored-sources]\ndirectory = "vendor"\n'
    )
    for name, needs, text in (
        ("inner-most", "", '#[cfg(feature = "two")]\npub const TWO: i64 = 2;\n'),
        ("outer", '[dependencies]\ninner-most = { version = "1", features = ["two"] }\n', "pub use inner_most::TWO;\n"),
    ):
        made = folder / "vendor" / name
        (made / "src").mkdir(parents=True)
        features = "[features]\ntwo = []\n" if name == "inner-most" else ""
        (made / "Cargo.toml").write_text(
            f'[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2021"\n{needs}{features}'
        )
        (made / "src" / "lib.rs").write_text(text)
        (made / ".cargo-checksum.json").write_text('{"files": {}, "package": null}')
    wrong = "pub fn double(value: i64) -> i64 {\n    value * (outer::TWO + 1)\n}\n"
    crate(folder, f"{wrong}\n{UNIT}", MANIFEST + '[dependencies]\nouter = "1"\n')
    own = own_crate.opened(folder, grader)
    assert "0 of 1 tests pass" in own.said and list(own.problem.files) == ["src/lib.rs"]
    said = own_crate.run(grader, [own.problem.check(own.problem.files), own.problem.test(own.problem.files)])
    assert said[0]["passed"] and said[1]["compiles"] and not said[1]["passed"]
    changed = own_crate.repaired(own, {"src/lib.rs": wrong.replace(" + 1", "")})
    assert own_crate.judged(own, changed, grader) == (True, "src/lib.rs: 1 of 1 pass")
    assert not (folder / "Cargo.lock").exists()
