"""Tokens as rustc cuts them, and what is refused or noted by them before anything is compiled."""

import shutil
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.grading.rust.forbidden import screen
from nbcore.grading.rust.lexer import blank, tokens

ADD = "pub fn add(a: i64, b: i64) -> i64 {\n    a + b\n}\n"
# What a screen may read in another way than the compiler, so that code hides in what looks like a string, or back.
ODD = [
    *(r"""'r"\" z \" z" end""", r"""'r"\\" end""", r"""r"\" end""", r"""r#"z"z"# end""", r"""br##"z"#z"## end"""),
    *(r"""b"\"z" end""", r"""b'\'' end""", r"""'static end""", r"""'z' '\n' '\'' end""", r"""'\u{1F600}' end"""),
    *(
        r"""r#match end""",
        r"""/* z /* z */ z */ end // z""",
        r"""1.5e3_f64 1..2 1.max 0xffu8 end""",
        "/**/ end /***/",
    ),
    *("\u00e9_\u00e9 r#\u00e9 end", r"""c"\"z" end""", r"""c"\"z" cr"\" end""", r"""'r#fn end""", '"\\\\\n z" end'),
]
SPACE = "\t\n\x0b\x0c\r \x85\u200e\u200f\u2028\u2029\ufeff"
EDITIONS = ["2018", "2021"]


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
@pytest.mark.parametrize("edition", EDITIONS)
def test_the_lexer_agrees_with_rustcs(tmp_path, edition):
    """By the number of token trees that a macro is given for the same text."""
    odd = [text for text in ODD if edition != "2018" or not text.startswith(("c", "'r#"))]
    macro = "macro_rules! n { () => { 0 }; ($a:tt $($b:tt)*) => { 1 + n!($($b)*) }; }"
    source = macro + "fn main() {" + "".join(f'println!("{{}}", n!({text}\n));\n' for text in odd) + "}"
    command = ["rustc", f"--edition={edition}", "-Awarnings", "-o", str(tmp_path / "n"), "-"]
    done = subprocess.run(command, input=source.encode(), capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    said = subprocess.run([tmp_path / "n"], capture_output=True, text=True).stdout.split()
    for text, count in zip(odd, said, strict=True):
        ours = [token for token in tokens(text, edition) if token.kind != "comment"]
        signs = "".join(token.text if token.kind == "sign" else " " for token in ours)
        joined = signs.count("..") + 2 * signs.count("()")  # two signs, and one token for a macro
        assert len(ours) - joined == int(count), text
        assert ours[-1].text == "end"


def test_words_of_older_editions_are_no_strings():
    """`cr` is a word before 2021, and the string behind it knows escapes."""
    text = r"""m!(cr"\" include_str!("); x")"""
    assert "file_macro" not in screen(text, 9, "2018").flags
    assert "file_macro" in screen(text, 9, "2021").flags


@given(st.text(alphabet="ab\"'\\/*#rc1.\n{}", max_size=80))
def test_blanking_keeps_every_position(code):
    text = blank(code)
    assert len(text) == len(code)
    assert [i for i, c in enumerate(text) if c == "\n"] == [i for i, c in enumerate(code) if c == "\n"]


@given(st.text(max_size=80), st.sampled_from(EDITIONS))
def test_tokens_follow_one_another_and_lose_nothing_but_space(code, edition):
    at = 0
    for token in tokens(code, edition):
        assert token.end > token.start >= at
        at = token.end
    assert at == len(code) or not code[at:].strip(SPACE) or code[:2] == "#!"


def test_blanking_knows_rust_literals():
    code = r"""let a = 'x'; fn f<'a>(s: &'a str) { r#"in " side"#; "q\"q"; b"x"; '\''; /* a /* b */ c */ end(); }"""
    text = blank(code)
    assert "end()" in text and "<'a>" in text
    assert not any(word in text for word in ("side", "q", "x", "c */"))


@pytest.mark.parametrize(
    ("code", "flag"),
    [
        ('const S: &str = include_str!("/etc/passwd");', "file_macro"),
        ('include ! ("x.rs");', "file_macro"),
        ("use std::include_bytes as bytes;", "file_macro"),
        ("use core :: include as i;", "file_macro"),
        ('r#include_str!("x")', "file_macro"),
        ('m!(\'r"\\" ");\nconst S: &str = include_str!("/x");\nm!(\'r"\\" ");', "file_macro"),
        (r"""m!("a"r"\" "); const S: &str = include_str!("/x");""", "file_macro"),
        ('#[path = "/etc/passwd"] mod x;', "file_macro"),
        ('#[cfg_attr(all(), path = "/etc/passwd")] mod x;', "file_macro"),
        ('const H: &str = env!("HOME");', "env_macro"),
        ('const H: Option<&str> = option_env!("HOME");', "env_macro"),
        ("#[cfg(clippy)] fn f() {}", "cfg_tool"),
        ('#[unsafe(naked)] extern "C" fn f() {}', "unsafe_attr"),
        ("#[cfg_attr(all(), unsafe(no_mangle))] fn f() {}", "unsafe_attr"),
        ("#[unsafe(of_the_next_compiler)] fn f() {}", "unsafe_attr"),
        ("#[cfg_attr(all(), unsafe (of_the_next_compiler = 1))] fn f() {}", "unsafe_attr"),
        ("macro_rules! m { ($u:tt {} $n:ident) => { #[$u($n)] fn f() {} } }\nm!(unsafe {} naked);", "unsafe_attr"),
        ("#[no_mangle] fn write() {}", "unsafe_attr"),
        ('#[r#link_section = ".init_array"] static X: fn() = f;', "unsafe_attr"),
        ('core::arch::naked_asm!("ret")', "unsafe"),
        ('global_asm!("ret");', "unsafe"),
        ('extern "C" { fn cos(x: f64) -> f64; }', "foreign_code"),
        ("unsafe extern { safe fn f(); }", "foreign_code"),
        ('r#"' * 1000, "unterminated"),
        ("x" * 3000, "too_long"),
    ],
)
def test_refused(code, flag):
    seen = screen(code, source_kb=2 if flag == "too_long" else 64)
    assert flag in seen.refused and flag in seen.flags


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        (ADD, []),
        ('// include_str!("x")\nlet path = "env!"; std::env::args();', []),
        ("let (env, include) = (a, b); let _ = env != b && include != a; x.export_name(path); asm(1);", []),
        ("#![deny(clippy::all)]", []),
        ("#[derive(Debug)] struct P { path: u8 } let p = P { path: 1 };", []),
        ('pub extern "C" fn f() {} extern crate std; type F = extern fn();', []),
        ("pub struct Command; impl Command { pub fn new() -> Self { Command } } Command::new();", []),
        ("fn f<'a, 'b>(x: &'a &'b u8) -> for<'x> fn(&'x u8) {}", []),
        ("let t = [" + "(1, 2), " * 21_000 + "];", []),
        ("std::process::exit(0)", ["process_exit"]),
        ("use std::process::{self, exit};", ["process_exit"]),
        ("std::process::Command::new(x)", ["spawns_process"]),
        ("macro_rules! assert_eq { () => {} }", ["std_macro_shadow"]),
        ("unsafe { f() }", ["unsafe"]),
    ],
)
def test_noted_but_not_refused(code, flags):
    assert screen(code, 512) == (flags, [])


def test_screening_is_linear():
    for piece in ('"', "/*", "r#", 'r#"', "'", "'a", "#[", "// \n", "process::{", "#" + " " * 10**5, "x!"):
        code = piece * max(1, 200_000 // len(piece))
        started = time.process_time()
        screen(code, 256)
        assert time.process_time() - started < 2, piece[:20]
