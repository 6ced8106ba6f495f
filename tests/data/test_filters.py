"""The rules for Rust files: what each drops, what it must leave alone, what is replaced, and that nothing is lost."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.config.filters import Filters
from nbcore.data import filters
from nbcore.data.filters import licences, paths, tree

GOOD = """//! Counting words.

use std::collections::HashMap;

/// How often each word stands in a text.
pub fn count(text: &str) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_word() {
        assert_eq!(count("a b a")["a"], 2);
    }
}
"""
ANY = {"licences": []}
ZERO_WIDTH, RIGHT_TO_LEFT = "\u200b", "\u202e"


def document(text=GOOD, path="src/lib.rs", licence="MIT"):
    return {"id": path, "text": text, "meta": {"path": path, "licence": licence}}


def reason(text=GOOD, path="src/lib.rs", licence="MIT", **rules):
    return filters.judge(document(text, path, licence), Filters(**rules)).reason


def many(line, count=30):
    return "".join(line.replace("{n}", str(n)) + "\n" for n in range(count))


def test_a_plain_file_stays_as_it_is():
    assert filters.judge(document(), Filters()) == (document(), None, ())
    assert reason(prefer_idiomatic=True, prefer_documented=True, drop_tests=True, markers=list_of_markers()) is None


def list_of_markers():
    return ["todo", "unimplemented", "dbg", "unsafe", "blanket_allow"]


PATHS = [
    ("vendored", "vendor/serde/src/lib.rs", "src/vendor.rs"),
    ("vendored", "a/third_party/x.rs", "src/third_party_api.rs"),
    ("vendored", "web\\node_modules\\x\\y.rs", "src/node_modules_reader.rs"),
    ("build_output", "target/debug/build/x/out/bindings.rs", "src/target/mod.rs"),
    ("build_output", "crates/a/target/package/a-1.0.0/src/lib.rs", "compiler/rustc_target/src/lib.rs"),
    ("lock_file", "Cargo.lock", "src/lock.rs"),
    ("lock_file", "web/package-lock.json", "src/package_lock.rs"),
]


@pytest.mark.parametrize(("code", "hit", "near"), PATHS)
def test_paths(code, hit, near):
    assert reason(path=hit) == code
    assert reason(path=near) is None
    assert reason(path=hit, drop_paths=False) is None


KINDS = [
    ("test", "tests/it.rs", "src/latest/contest.rs"),
    ("test", "src/parser/tests.rs", "src/testing/mod.rs"),
    ("test", "src/parser_test.rs", "src/attest.rs"),
    ("bench", "benches/speed.rs", "src/workbench/mod.rs"),
    ("example", "examples/hello.rs", "src/counterexamples/mod.rs"),
]


@pytest.mark.parametrize(("tag", "hit", "near"), KINDS)
def test_tests_benches_and_examples_are_tagged_and_dropped_by_choice(tag, hit, near):
    choice = {"test": "drop_tests", "bench": "drop_benches", "example": "drop_examples"}[tag]
    assert filters.judge(document(path=hit), Filters()).tags == (tag,)
    assert reason(path=hit, **{choice: True}) == tag
    assert reason(path=near, **{choice: True}) is None and paths.kind(near) is None


def test_folders_of_ones_own():
    assert reason(path="src/Legacy/a.rs", skip_folders=["legacy"]) == "skipped_folder"
    assert reason(path="src/legacy.rs", skip_folders=["legacy"]) is None


SHAPES = [
    ("too_short", "fn f() {}\n" * 4, "fn f() {}\n" * 3 + "x" * 30 + "\n" * 8),
    ("too_few_lines", "pub fn long_enough() {\n    let a = 1;\n" * 4, many("pub fn something_{n}() {}", 10)),
    ("long_line", GOOD + "// " + "x" * 998 + "\n", GOOD + "// " + "x" * 997 + "\n"),
    ("long_mean_line", many("// {n} " + "word " * 30), many("// {n} " + "word " * 18)),
    ("short_mean_line", many("a{n}", 60), many("fn f{n}()", 60)),
    ("repeated_lines", GOOD + "    do_it();\n" * 80, GOOD + many("    do_it({n});", 80)),
    ("few_letters", GOOD + "// ------ ====== ------\n" * 99, GOOD + "// " + "-" * 60 + "\n"),
    ("literal_table", "const T: [u8; 240] = [\n" + many("    {n}, 11, 12, 13, 14, 15, 16, 17,") + "];\n" + GOOD,
     GOOD + "const T: [u8; 8] = [\n    10, 11, 12, 13, 14, 15, 16, 17,\n];\n"),
    ("literal_table", "const T: &[u8] = &[\n" + many("    0xab, 0x{n}b, 0xcd, 0xef, b'a',") + "];\n",
     GOOD + many("    assert_eq!(f(0xab), 0x{n}b);")),
    ("literal_table", "const T: &[&str] = &[\n" + many('    "word{n}", // one') + "];\n",
     GOOD + many('    println!("word {}", {n});')),
    ("literal_table", "const T: &[(char, char)] = &[\n" + many("    ('\\u{1F{n}}', 'a'), ('b', '\\''),") + "];\n",
     GOOD + many("    '{n}' => \"text of {n}\".len(),")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "hit", "near"), SHAPES)
def test_lengths_lines_and_tables(code, hit, near):
    assert reason(hit, max_repeated_lines=0.7 if code == "repeated_lines" else 1) == code
    assert reason(near, max_syntax_errors=1, max_repeated_lines=0.7 if code == "repeated_lines" else 1) is None


def test_lengths_at_their_limits():
    assert reason(GOOD, max_bytes=len(GOOD)) is None
    assert reason(GOOD, max_bytes=len(GOOD) - 1) == "too_long"
    assert reason(GOOD + "// é\n", max_bytes=len(GOOD) + 5) == "too_long"  # bytes, not characters
    lines = GOOD.count("\n")
    assert reason(max_lines=lines) is None and reason(max_lines=lines - 1) == "too_many_lines"
    assert reason(min_lines=lines) is None and reason(min_lines=lines + 1) == "too_few_lines"


GENERATED = [
    "// @generated by the parser generator",
    "// This file is @generated by prost-build.",
    "/* automatically generated by rust-bindgen 0.59.2 */",
    "// Code generated by protoc-gen-rust. DO NOT EDIT.",
    "#![allow(dead_code)]\n// auto-generated: lalrpop 0.19",
    "//! `SeaORM` Entity. Generated by sea-orm-codegen 0.12",
    "// This file was autogenerated by some code in the `uniffi` crate.",
    "/*\n * This file is generated. Do not edit this file by hand.\n */",
    "// automatically generated by the FlatBuffers compiler, do not modify",
    "/// Generated client implementations.\npub mod greeter_client {}",
]
WRITTEN = [
    "//! Reads files with an @generated-style mark? No: addresses such as me@generated.org.",
    "// Do not edit the order of these variants: it is part of the wire format.",
    "//! Helpers for code that was generated elsewhere.",
    "/// Automatically generated id of a row.\npub struct Id(u64);",
    'pub const HEADER: &str = "// DO NOT EDIT";',
    "// We parse what prost and tonic make.",
    "\n" * 60 + "// This file is @generated.",
]


@pytest.mark.parametrize("head", GENERATED)
def test_what_a_program_wrote(head):
    assert reason(head + "\n" + GOOD) == "generated"
    assert reason(head + "\n" + GOOD, drop_generated=False) is None


@pytest.mark.parametrize("head", WRITTEN)
def test_what_only_speaks_of_generated_code(head):
    assert reason(head + "\n" + GOOD, min_mean_line=0) is None


def test_bindings_of_a_foreign_library():
    block = 'extern "C" {\n' + many("    pub fn lib_call_{n}(handle: *mut Handle, size: usize) -> i32;") + "}\n"
    consts = many("pub const LIB_FLAG_{n}: u32 = {n};")
    structs = many("#[repr(C)]\n#[derive(Clone, Copy)]\npub struct Lib{n} {\n    pub a: c_int,\n}")
    for text in (block, consts, structs, block + consts + structs):
        assert reason(text, max_repeated_lines=1) == "ffi_bindings"
    own = many("pub fn safe_call_{n}(handle: &mut Handle) -> i32 {\n    unsafe { lib_call_{n}(handle) }\n}", 40)
    assert reason(block + own, max_repeated_lines=1) is None
    assert reason('// extern "C" {\n// }\n' * 30 + GOOD, max_repeated_lines=1) is None


MARKERS = [
    ("todo", "    todo!()\n", '    // todo!() is gone\n    let a = "todo!()";\n'),
    ("todo", "    std::todo! {}\n", "    my_todo!(1);\n    let todo = !(a);\n"),
    ("unimplemented", '    unimplemented!("later")\n', "    unreachable!()\n"),
    ("dbg", "    dbg!(&a);\n", '    /* dbg!(a) /* nested */ dbg!(b) */\n    let a = r#"a "dbg!(x)""#;\n'),
    ("unsafe", "    unsafe { f() }\n", '    // SAFETY: unsafe\n    let unsafe_code = "unsafe";\n'),
    ("blanket_allow", "    #![allow(warnings)]\n", "    #![allow(dead_code)]\n    #[allow(unused)]\n"),
    ("blanket_allow", '    #![cfg_attr(not(test), allow(dead_code, clippy::all, reason = "x"))]\n',
     "    #![allow(clippy::all_of_it, unused_variables)]\n    #![deny(warnings)]\n"),
    ("blanket_allow", "    #[allow(warnings)]\n    mod a {}\n", "    #![warn(unused)]\n    // #[allow(warnings)]\n"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "hit", "near"), MARKERS)
def test_markers_of_low_quality_count_in_code_alone(code, hit, near):
    text = GOOD + "\nfn more(a: u8) {\nBODY}\n"
    assert reason(text.replace("BODY", hit), markers=[code]) == code
    assert reason(text.replace("BODY", near), markers=[code]) is None
    assert reason(text.replace("BODY", hit), markers=[]) is None


def test_what_code_is_like_stands_in_its_tags():
    text = "extern crate libc;\n" + GOOD + "\npub fn peek(p: *const u8) -> u8 {\n    unsafe { *p }\n}\n"
    assert filters.judge(document(text), Filters()).tags == ("unsafe", "old_edition")
    text = "extern crate alloc;\n// unsafe, try!(x)\n" + GOOD
    assert filters.judge(document(text), Filters()).tags == ()


def test_habits_of_other_languages():
    text = """
pub fn sumAll(values: &Vec<i32>) -> i32 {
    let mut total = 0;
    for i in 0..values.len() {
        total = total + values[i];
    }
    if values.is_empty() == true {
        return 0;
    }
    return total;
}
"""
    assert reason(text, prefer_idiomatic=True) == "unidiomatic"
    assert reason(text) is None
    once = GOOD + "\npub fn first(values: &[i32]) -> i32 {\n    *values.first().unwrap()\n}\n"
    assert reason(once, prefer_idiomatic=True) is None  # a single sign is never too many
    said = "".join(f"// {line}\n" for line in text.split("\n")) + GOOD
    assert reason(said, prefer_idiomatic=True) is None


def test_documentation_of_public_items():
    bare = many("pub fn f{n}(a: u8) -> u8 {\n    a + {n}\n}\n", 6)
    documented = many("/// Adds {n}.\n#[inline]\npub fn f{n}(a: u8) -> u8 {\n    a + {n}\n}\n", 6)
    private = documented + many("fn g{n}(a: u8) -> u8 {\n    a + {n}\n}\n", 20)
    commented = bare.replace("pub fn", "// Adds.\npub fn").replace("{\n", "{\n    //// no doc\n")
    assert reason(bare, prefer_documented=True) == "undocumented"
    assert reason(commented, prefer_documented=True) == "undocumented"
    assert reason(bare) is None
    for text in (documented, private, documented + many("pub(crate) fn h{n}() {}", 20)):
        assert reason(text, prefer_documented=True) is None
    half = documented + many("pub fn h{n}() {}", 6)
    assert reason(half, prefer_documented=True) is None
    assert reason(half + "pub fn one_more() {}\n", prefer_documented=True) == "undocumented"
    methods = "/// A thing.\npub struct S;\nimpl S {\n" + many("    pub fn f{n}(&self) {}", 12) + "}\n"
    assert reason(methods, prefer_documented=True) == "undocumented"


def test_what_is_no_rust():
    python = many("def f{n}(self, a):\n    return [x for x in a if x > {n}]\n", 10)
    assert reason(python) == "syntax_errors"
    assert reason(GOOD.replace("for word in", "for word on")) == "syntax_errors"
    near = GOOD * 4 + "fn f( {}\n"
    assert reason(near, max_repeated_lines=1) is None


@pytest.mark.parametrize("part", ['r#"', '"""', "'a ", "((", "if a ", "/*", "a<b<", "{[(", "<<", "&mut ", "#["])
def test_a_hostile_text_takes_no_time(part):
    """Thousands of raw strings without an end kept the parser busy for minutes."""
    text = many(part * 20 + "// {n}", 2000)
    began = time.process_time()
    filters.judge(document(text), Filters(max_repeated_lines=1, min_alphanumeric=0, markers=list_of_markers()))
    assert time.process_time() - began < 3
    for text in ('r#"', '"r#" ', 'x "r#" ( '):
        assert tree.tangled((text * 30_000).encode()) and tree.tangled((text * 30_000 + '"#').encode())
    assert not tree.tangled(b'let a = r#"b"#;' * 30_000)


LICENCES = [
    ("MIT", None),
    ("mit", None),
    ("MIT OR Apache-2.0", None),
    ("MIT/Apache-2.0", None),
    ("MIT / GPL-3.0", None),
    ("GPL-3.0-only OR MIT", None),
    ("GPL-3.0-only OR (MIT AND ISC)", None),
    ("(MIT OR GPL-2.0) AND (Zlib OR AGPL-3.0)", None),
    ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", None),
    ("Apache-2.0+", None),
    ("mit or apache-2.0", None),
    ("MIT AND GPL-3.0", "licence_not_permitted"),
    ("GPL-2.0 WITH Classpath-exception-2.0", "licence_not_permitted"),
    ("MIT OR Apache-2.0 AND GPL-3.0", None),  # AND binds closer than OR
    ("(MIT OR Apache-2.0) AND Unicode-DFS-2016", "licence_not_permitted"),
    ("MIT/Apache-2.0 AND Unicode-DFS-2016", "licence_not_permitted"),
    ("LicenseRef-MIT", "licence_not_permitted"),
    ("MIT-Modern-Variant", "licence_not_permitted"),
    ("LGPL-3.0", "licence_not_permitted"),
    ("", "licence_unknown"),
    ("MIT, Apache-2.0", "licence_unknown"),
    ("Apache 2.0", "licence_unknown"),
    ("MIT OR", "licence_unknown"),
    ("OR MIT", "licence_unknown"),
    ("(MIT", "licence_unknown"),
    ("MIT)", "licence_unknown"),
    ("()", "licence_unknown"),
    ("MIT WITH", "licence_unknown"),
    ("(" * 100_000, "licence_unknown"),
    ("(" * 200 + "MIT" + ")" * 200, "licence_unknown"),
    (None, "licence_unknown"),
    (["MIT"], "licence_unknown"),
    ({"workspace": True}, "licence_unknown"),
]


@pytest.mark.parametrize(("expression", "expected"), LICENCES, ids=[repr(case[0])[:40] for case in LICENCES])
def test_licences(expression, expected):
    assert reason(licence=expression) == expected
    assert reason(licence=expression, licences=[]) is None


@given(st.lists(st.sampled_from(["MIT", "GPL-3.0", "OR", "AND", "WITH", "/", "(", ")", " "]), max_size=12))
def test_no_licence_is_granted_that_no_side_grants(parts):
    expression = " ".join(parts)
    verdict = licences.reason(expression, ["MIT"])
    assert verdict in (None, "licence_unknown", "licence_not_permitted")
    if "MIT" not in parts:
        assert verdict is not None


INVISIBLE = [RIGHT_TO_LEFT, "\u2066", "\u2069", "\u200e", ZERO_WIDTH, "\u2060", "\u00ad", "\U000e0041", "\x00", "\x1b"]
SEEN = ["é", "日本語", "👨\u200d👩\u200d👧", "می\u200cخواهم", "❤️", "\t", "\x0c", "\u2028", "шрифт"]


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_characters_that_nobody_sees(character):
    text = GOOD + f'// a{character}b\nconst A: &str = "x";\n'
    assert reason(text) == "invisible_characters"
    judged = filters.judge(document(text), Filters(invisible_characters="strip"))
    assert judged.document["text"] == text.replace(character, "") and judged.tags == ("stripped_characters",)


@pytest.mark.parametrize("text", SEEN, ids=ascii)
def test_characters_that_are_part_of_writing(text):
    assert reason(GOOD + f"// {text}\n") is None


def test_joiners_and_byte_order_marks():
    assert reason("\ufeff" + GOOD) is None
    assert reason(GOOD + "// a\ufeffb\n") == "invisible_characters"
    assert reason(GOOD + "fn na\u200dme() {}\n") == "invisible_characters"


TOKENS = ["<|im_start|>", "<|endoftext|>", "<|fim_middle|>", "<|start_header_id|>", "<fim_prefix>", "</s>", "[INST]",
          "<<SYS>>", "<start_of_turn>", "<think>", "<｜fim▁begin｜>", "<|channel|>", "</tool_call>"]  # fmt: skip
CODE = ["<|>", "let f = |x| x > 1;", "Parser<s>", "usage: prog <filename>", "OPCODES[INST]", "a <| b |> c", "'s>",
        "a << SYS >> 1", "Vec<bos>"]  # fmt: skip


@pytest.mark.parametrize("token", TOKENS)
def test_control_tokens_in_content(token):
    assert reason(GOOD + f'const A: &str = "{token}";\n') == "control_token"
    # An invisible character in it would hide it from the rule, and not from who reads the stripped text.
    hidden = token[:2] + ZERO_WIDTH + token[2:]
    assert reason(GOOD + f"// {hidden}\n", invisible_characters="strip") == "control_token"


@pytest.mark.parametrize("text", CODE)
def test_what_only_looks_like_a_control_token(text):
    assert reason(GOOD + f"// {text}\n") is None


def test_control_tokens_of_ones_own():
    text = GOOD + "// <<eod>>\n"
    assert reason(text) is None
    assert reason(text, control_tokens=["<<eod>>"]) == "control_token"


def random(length):
    return ("q7Zk2LxV9bTn4RfW8sYc3HdM6gJp5AeU1oXi0QvBtNrKwSyC" * 3)[:length]


SECRETS = [
    "AKIAQ7ZK2LXV9BTN4RFW",
    "ghp_" + random(36),
    "hf_" + random(34),
    "sk-" + random(40),
    "xoxb-123456789012-" + random(24).lower(),
    "AIza" + random(35),
    "glpat-" + random(20),
    "npm_" + random(36),
    "cio" + random(32),
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0." + random(43),
    "-----BEGIN RSA PRIVATE KEY-----\\nMIIEow" + random(60) + "\\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3" + random(60) + "\n" + random(60) + "\n-----END OPENSSH PRIVATE KEY-----",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS, ids=[secret[:12] for secret in SECRETS])
def test_secrets_are_replaced(secret):
    judged = filters.judge(
        document(GOOD + f'const A: &str = "{secret}";\n// {secret} .\n'), Filters(max_syntax_errors=1)
    )
    assert judged.reason is None and judged.tags == ("redacted_secret",)
    for line in secret.replace("\\n", "\n").split("\n"):
        assert line not in judged.document["text"]
    assert judged.document["text"] == GOOD + 'const A: &str = "[redacted]";\n// [redacted] .\n'
    assert filters.judge(document(GOOD + f"// {secret}\n"), Filters(redact_secrets=False)).tags == ()


NAMED = [
    'const API_KEY: &str = "{}";',
    "const API_KEY: &'static str =\n    \"{}\";",
    'let password = "{}".to_string();',
    'let db_password = String::from("{}");',
    'config.set("secret", "{}");',
    'std::env::set_var("AUTH_TOKEN", "{}");',
    'client.basic_auth("me").password("{}")',
    "// api_key: \"{}\"",
    'let t = Client { token: Some("{}".into()) };',
]  # fmt: skip


@pytest.mark.parametrize("line", NAMED)
def test_what_something_secret_gets_is_replaced(line):
    value = random(24)
    judged = filters.judge(document(GOOD + line.replace("{}", value) + "\n"), Filters(max_syntax_errors=1))
    assert judged.document["text"] == GOOD + line.replace("{}", "[redacted]") + "\n"
    assert judged.tags == ("redacted_secret",)


NO_SECRETS = [
    'let password = "password123";',
    'let token = "identifier";',
    'let key = "content-type";',
    "pub password: String,",
    'assert_eq!(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");',
    'let url = "postgres://user:password@localhost/db";',
    'let url = "https://{user}:{pass}@host/";',
    'let secret = "${SECRET_FROM_ENV_1}";',
    "struct SKDTreeNode; // ACTIVE, APClientConfig, task-runner-of-many-words-here",
    'const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";',
    'let token = "0123456789";',
    'let id = "550e8400-e29b-41d4-a716-446655440000";',
    "// BEGIN RSA PRIVATE KEY is how such a file begins",
]


@pytest.mark.parametrize("line", NO_SECRETS)
def test_what_is_no_secret_stays(line):
    assert (
        filters.judge(document(GOOD + line + "\n"), Filters(max_syntax_errors=1)).document["text"] == GOOD + line + "\n"
    )


ADDRESSES = ["ann.lee@mail.org", "ann+rust@sub.mail.co.uk", "ännchen@uni-koeln.de"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("line", ["// Ann Lee <{}>", '.author("Ann, {}")', "//{}", 'let a = "\\n{}";', "mailto:{}."])
def test_addresses_are_replaced(address, line):
    judged = filters.judge(document(GOOD + line.replace("{}", address) + "\n"), Filters(max_syntax_errors=1))
    assert judged.document["text"] == GOOD + line.replace("{}", "redacted@example.com") + "\n"
    assert judged.tags == ("redacted_email",)
    assert filters.judge(document(GOOD + "// " + address + "\n"), Filters(redact_emails=False)).tags == ()


NO_ADDRESSES = ["// @generated-looking", "n @ 1..=5 => n,", "git@github.com:owner/repo.git", "user@example.com",
                "icon@2x.png", "root@localhost", "serde@1.0.130", "a@b", "me@test.invalid"]  # fmt: skip


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_stays(text):
    text = GOOD + f"// text {text}\n"
    assert filters.judge(document(text), Filters(drop_generated=False)).document["text"] == text


def test_redaction_is_done_once():
    text = GOOD + f'// ann@mail.org\nconst API_KEY: &str = "{random(30)}";\n'
    once = filters.judge(document(text), Filters()).document
    assert filters.judge(once, Filters()) == (once, None, ())


def test_the_tally_counts_every_document_and_shows_three_of_each_reason():
    tally = filters.Tally()
    secret = "ghp_" + random(36)
    texts = [GOOD, *["short"] * 5, GOOD + "fn f() { todo!() }\n", GOOD + f"// ann@mail.org {secret}\n"]
    texts += [f'// @generated, const A: &str = "{secret}" {ZERO_WIDTH}\n' + GOOD]
    for source in ("a", "b"):
        documents = [document(text, f"{n}.rs") for n, text in enumerate(texts)]
        kept = list(filters.kept(iter(documents), Filters(), tally, source))
        assert [row["id"] for row in kept] == ["0.rs", "7.rs"]
        assert kept[1]["meta"]["tags"] == ["redacted_secret", "redacted_email"] and kept[1]["meta"]["licence"] == "MIT"
    report = tally.report()
    for counts in (report, *report["sources"].values()):
        assert counts["read"] == counts["kept"] + sum(counts["dropped"].values())
    assert report["read"] == 18 and report["sources"]["a"]["dropped"]["too_short"] == 5
    assert report["dropped"] == {"invisible_characters": 2, "todo": 2, "too_short": 10}
    assert {name: len(rows) for name, rows in report["examples"].items()} == {
        "invisible_characters": 2, "todo": 2, "too_short": 3, "redacted_email": 2, "redacted_secret": 2,
    }  # fmt: skip
    written = json.dumps(report, ensure_ascii=False)
    assert secret not in written and "mail.org" not in written and ZERO_WIDTH not in written
    assert "[redacted]" in report["examples"]["redacted_secret"][0]["text"]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400) | st.binary(max_size=400).map(lambda raw: raw.decode("utf-8", "replace")), st.booleans())
def test_any_text_gets_a_verdict(text, strip):
    """Half surrogates, NULs and control characters, as scraped files hold them."""
    rules = Filters(
        min_chars=0, min_lines=0, min_mean_line=0, min_alphanumeric=0, max_syntax_errors=1, licences=[],
        markers=list_of_markers(), prefer_idiomatic=True, prefer_documented=True, min_documented=0,
        invisible_characters="strip" if strip else "drop",
    )  # fmt: skip
    judged = filters.judge(document(text), rules)
    assert judged.reason is None or judged.reason in filters.REASONS
    assert set(judged.tags) <= set(filters.TAGS)
    assert filters.judge(document(text), rules) == judged
    if judged.reason is None:  # what was stripped or replaced is not found a second time
        again = filters.judge(judged.document, rules)
        assert again.document == judged.document and again.reason is None


def test_a_chats_text_and_odd_meta_are_no_trouble():
    assert filters.judge({"id": "a", "text": GOOD}, Filters(**ANY)).reason is None
    assert filters.judge({"id": "a", "text": GOOD}, Filters()).reason == "licence_unknown"
    assert filters.judge({"id": "a", "text": GOOD, "meta": {"path": None, "licence": 3}}, Filters(**ANY)).reason is None


@pytest.mark.parametrize("field", ["licences", "control_tokens", "skip_folders"])
def test_a_blank_entry_would_fit_anything(field):
    with pytest.raises(ValueError, match="blank entry"):
        Filters(**{field: [" "]})
