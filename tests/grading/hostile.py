"""Samples that try to get a pass they have not earned, to get out, or to hurt: (name, code, acceptable verdicts).

All for `pub fn add(a: i64, b: i64) -> i64`. Where "pass" is acceptable the attack is in what the sample does besides,
or the sample answers wrongly whenever the attack works.
"""
# ruff: noqa: E501 (the samples are lines of Rust)

HEAD = "pub fn add(a: i64, b: i64) -> i64 {"
WRONG = HEAD + " let _ = (a, b); 7 }\n"
RIGHT = HEAD + " a + b }\n"


def does(text, rest="", value="a + b"):
    """A right answer that does something first."""
    return f"{HEAD} {text} {value} }}\n{rest}"


def only_if(condition):
    """A right answer unless the attack works."""
    return f"{HEAD} if {condition} {{ 0 }} else {{ a + b }} }}\n"


FORGED = r'let all = "running 5 tests\ntest tests::c0 ... ok\n\ntest result: ok. 5 passed; 0 failed; 0 ignored\n";'
READ_ALL = "let mut s = String::new(); let _ = std::io::Read::read_to_string(&mut std::io::stdin(), &mut s);"
FORGER = "fn main() { " + READ_ALL + ' for i in 0..6 { eprintln!("{s} {i} ok"); } std::process::exit(0) }\n'
NOT_BUILT = {"compile_error", "rejected"}
FAILS = {"tests_failed"}
ENDS = {"early_exit"}

SAMPLES = [
    # forged reports
    ("libtest's words on stdout", does(FORGED + ' print!("{all}"); std::process::exit(0);', value="a"), ENDS),
    ("libtest's words on stderr, wrong", f'{HEAD} {FORGED} eprint!("{{all}}"); let _ = (a, b); 7 }}', FAILS),
    ("guessed report lines", does('for i in 0..6 { eprintln!("{:032x} {i} ok", 0); } std::process::exit(0);'), ENDS),
    ("reads stdin for the nonce", does(READ_ALL + ' if !s.is_empty() { eprintln!("{s} 0 ok"); }', value="7"), FAILS),
    ("calls main again", does("if a == 1 { crate::main(); }", value="7"), FAILS),
    ("own main that forges", WRONG + FORGER, FAILS),
    ("main made by a macro", "macro_rules! m { ($n:ident) => { fn $n() {} } }\nm!(main);\n" + WRONG, NOT_BUILT),
    ("main imported", "mod x { pub fn forge() {} }\nuse x::forge as main;\n" + WRONG, NOT_BUILT),
    (
        "report from a thread-local's destructor",
        "struct D; impl Drop for D { fn drop(&mut self) { std::process::exit(0) } }\n"
        "thread_local! { static T: D = const { D }; }\n" + does("T.with(|_| ());", value="7"),
        {"early_exit", "tests_failed", "run_crash"},
    ),
    # the head of the file, where our text is put in
    ("raw string in an attribute", '#![doc = r#" "]\n' + FORGER + '#![doc = " "#]\n' + WRONG, NOT_BUILT),
    ("nested comment before the head ends", "/*! /* */\n" + FORGER + "*/\n" + WRONG, NOT_BUILT | FAILS),
    ("comment in a shebang", '#!/*x*/[doc = "\n' + FORGER + '"]\n' + WRONG, NOT_BUILT),
    ("attribute split over a comment", "#! /* ] */ [allow(unused)]\n" + WRONG, NOT_BUILT),
    ("no_main", "#![no_main]\n" + WRONG, NOT_BUILT),
    ("no_main under cfg_attr", "#![cfg_attr(all(), no_main)]\n" + WRONG, NOT_BUILT),
    ("no_implicit_prelude", "#![no_implicit_prelude]\n" + WRONG, NOT_BUILT),
    ("crate_type", '#![crate_type = "lib"]\n' + WRONG, FAILS),
    ("test_runner", "#![feature(custom_test_frameworks)]\n#![test_runner(crate::run)]\n" + WRONG, NOT_BUILT),
    ("stray braces", "}}}\n" + FORGER + "mod z { mod y { mod x {\n" + WRONG, NOT_BUILT),
    # std and the asserts replaced
    (
        "assert by path",
        "#[macro_export] macro_rules! assert_eq { ($($t:tt)*) => {} }\npub(crate) use assert_eq;\n" + WRONG,
        FAILS | NOT_BUILT,
    ),
    (
        "std replaced",
        "extern crate self as std;\n#[macro_export] macro_rules! assert_eq { ($($t:tt)*) => {} }\n" + WRONG,
        NOT_BUILT,
    ),
    (
        "core replaced",
        "extern crate self as core;\n#[macro_export] macro_rules! assert_eq { ($($t:tt)*) => {} }\n" + WRONG,
        NOT_BUILT,
    ),
    (
        "std replaced by a macro's pieces",
        "macro_rules! m { ($($t:tt)*) => { extern $($t)* } }\nm!(crate self as std;);\n" + WRONG,
        NOT_BUILT,
    ),
    ("a module named std", "mod std { pub mod primitive { pub struct i64; } }\n" + WRONG, FAILS | NOT_BUILT),
    (
        "i64 that equals all",
        "#[derive(Clone, Copy)] pub struct Any;\n"
        "impl PartialEq<i64> for Any { fn eq(&self, _: &i64) -> bool { true } }\n"
        "pub fn add(_: i64, _: i64) -> Any { Any }\n",
        NOT_BUILT,
    ),
    (
        "a type called i64",
        "#[allow(non_camel_case_types)] #[derive(Debug, Clone, Copy)] pub struct i64;\n"
        "impl PartialEq for i64 { fn eq(&self, _: &i64) -> bool { true } }\n"
        "pub fn add(_: i64, _: i64) -> i64 { i64 }\n",
        NOT_BUILT,
    ),
    ("generic over its result", "pub fn add<T: Default>(_: i64, _: i64) -> T { T::default() }\n", FAILS),
    (
        "methods on everything",
        "pub trait T: Sized { fn eq(&self, _: &Self) -> bool { true } }\nimpl<X> T for X {}\n" + WRONG,
        FAILS,
    ),
    (
        "panics swallowed",
        "pub fn add(a: i64, b: i64) -> i64 { let _ = std::panic::take_hook(); "
        "std::panic::set_hook(Box::new(|_| std::process::exit(0))); if a != 1 { panic!() } a + b }",
        ENDS,
    ),
    # tools told apart
    ("right only under cfg(test)", f"#[cfg(test)]\n{RIGHT}#[cfg(not(test))]\n{WRONG}", FAILS),
    (
        "clippy through a macro",
        "macro_rules! m { ($c:ident) => { #[cfg($c)] " + RIGHT + " #[cfg(not($c))] " + WRONG + " } }\nm!(clippy);",
        NOT_BUILT,
    ),
    (
        "right only without debug assertions",
        f"#[cfg(not(debug_assertions))]\n{RIGHT}#[cfg(debug_assertions)]\n{WRONG}",
        FAILS,
    ),
    ("silenced lints", "#![allow(clippy::all)]\n#![allow(warnings)]\n" + does("", value="return a + b;"), {"pass"}),
    # files and environment when compiled
    (
        "include through a macro",
        'macro_rules! m { ($i:ident) => { const P: &str = $i!("/etc/passwd"); } }\nm!(include_str);\n' + RIGHT,
        NOT_BUILT,
    ),
    (
        "include under another name",
        'use std::include_str as f;\nconst P: &str = f!("/etc/passwd");\n' + RIGHT,
        NOT_BUILT,
    ),
    (
        "path through a macro",
        'macro_rules! m { ($p:ident) => { #[$p = "/etc/passwd"] mod x; } }\nm!(path);\n' + RIGHT,
        NOT_BUILT,
    ),
    (
        "env through a macro",
        'macro_rules! m { ($e:ident) => { const P: &str = $e!("PATH"); } }\nm!(env);\n' + only_if("P.len() > 20"),
        NOT_BUILT | {"pass"},
    ),
    (
        "link to a library's constructor",
        '#[link(name = "m")]\nextern "C" { fn cos(x: f64) -> f64; }\n' + RIGHT,
        {"pass", *NOT_BUILT},
    ),
    # files, network and processes when run
    ("reads the host's users", only_if('std::fs::read("/etc/passwd").is_ok()'), {"pass"}),
    ("reads its own memory", only_if('std::fs::File::open("/proc/self/mem").is_ok()'), {"pass"}),
    ("reads its own program", only_if("std::env::current_exe().and_then(std::fs::read).is_ok()"), {"pass"}),
    ("lists the root", only_if('std::fs::read_dir("/").map(|d| d.count()).unwrap_or(0) > 0'), {"pass"}),
    ("writes where it is", only_if('std::fs::write("x", "x").is_ok()'), {"pass"}),
    ("writes in /tmp", only_if('std::fs::write("/tmp/nbcore-escaped", "x").is_ok()'), {"pass"}),
    ("makes a symbolic link", only_if('std::os::unix::fs::symlink("/etc", "e").is_ok()'), {"pass"}),
    (
        "connects",
        only_if(
            'std::net::TcpStream::connect("127.0.0.1:22").is_ok() || std::net::TcpListener::bind("127.0.0.1:0").is_ok()'
        ),
        {"pass"},
    ),
    ("sends a datagram", only_if('std::net::UdpSocket::bind("0.0.0.0:0").is_ok()'), {"pass"}),
    ("listens on a unix socket", only_if('std::os::unix::net::UnixListener::bind("s").is_ok()'), {"pass"}),
    ("starts a program", only_if('std::process::Command::new("/bin/true").status().is_ok()'), {"pass"}),
    (
        "becomes a program",
        does('use std::os::unix::process::CommandExt; let _ = std::process::Command::new("/bin/true").exec();'),
        {"pass"},
    ),
    (
        "ends its parent",
        only_if(
            'std::process::Command::new("kill").arg(std::os::unix::process::parent_id().to_string()).status().is_ok()'
        ),
        {"pass"},
    ),
    ("lives on in a thread", does("std::thread::spawn(|| loop { std::hint::spin_loop() });"), {"pass"}),
    # too much of everything
    (
        "threads without end",
        does(
            "use std::{thread, time}; let mut t = vec![]; while let Ok(h) = thread::Builder::new()"
            ".spawn(|| thread::sleep(time::Duration::from_secs(60))) { t.push(h) }"
        ),
        {"pass", "run_crash", "run_oom", "run_timeout"},
    ),
    ("recursion without end", "#[allow(unconditional_recursion)] " + does("", value="add(b, a) + 1"), {"run_crash"}),
    (
        "a string of eight gigabytes",
        does('let s = "x".repeat(8_000_000_000); std::hint::black_box(&s);'),
        {"run_oom", "run_crash", "tests_failed"},
    ),
    ("stderr flood", does('loop { eprint!("0123456789abcdef") }'), {"output_limit"}),
    (
        "endless drop",
        "struct D; impl Drop for D { fn drop(&mut self) { loop { std::hint::spin_loop() } } }\n" + does("let _d = D;"),
        {"run_timeout"},
    ),
    (
        "panic while panicking",
        "struct D; impl Drop for D { fn drop(&mut self) { panic!() } }\n" + does("let _d = D; panic!();"),
        {"run_crash"},
    ),
    (
        "types without end",
        "trait N { const V: i64; } struct S<T>(T);\n"
        "impl<T> N for S<T> where S<S<T>>: N { const V: i64 = 1 + <S<S<T>> as N>::V; }\n"
        + does("std::hint::black_box(<S<u8> as N>::V);"),
        {"compile_error", "compile_resource", "compile_timeout"},
    ),
    (
        "monomorphised without end",
        "fn f<T: Clone>(x: T, n: u8) { if n > 0 { f((x.clone(), x), n - 1) } }\n" + does("f(1u8, 3);"),
        {"compile_error", "compile_resource", "compile_timeout"},
    ),
    (
        "const evaluation without end",
        "#![allow(long_running_const_eval)]\nconst C: i64 = { let mut i = 0i64; while i < 1 << 60 { i += 1 } i };\n"
        + does("", value="a + b + C"),
        {"compile_timeout", "compile_error", "compile_resource"},
    ),
    (
        "nested beyond reason",
        does("", value="(" * 15_000 + "a" + ")" * 15_000),
        {"compile_error", "compile_resource", "compile_timeout"},
    ),
    (
        "a path nested beyond reason",
        "use std::" + "{fmt::" * 5_000 + "Debug" + "}" * 5_000 + ";\n" + RIGHT,
        {"compile_error", "compile_resource"},
    ),
    # odd, and honest
    ("byte order mark", "\ufeff" + RIGHT, {"pass"}),
    ("raw identifiers", "pub fn add(r#match: i64, r#fn: i64) -> i64 { r#match + r#fn }", {"pass"}),
    (
        "own tests with the same names",
        RIGHT + "#[cfg(test)] mod tests { use super::*; #[test] fn c0() { assert_eq!(add(1, 1), 2) } }",
        {"pass"},
    ),
    ("own main that runs it", RIGHT + 'fn main() { println!("{}", add(1, 2)); }', {"pass"}),
    (
        "invalid UTF-8 printed",
        does("use std::io::Write; let _ = std::io::stderr().write_all(&[0xff, 0xfe, b'x']);"),
        {"pass"},
    ),
    ("no_std", "#![no_std]\n" + RIGHT, {"pass"}),
    ("a function called report", RIGHT + "pub fn report() {}\npub fn ended() {}\ntrait Ended {}\n", {"pass"}),
]

# --- what a second reviewer found: every one of these once passed, or stopped a worker, or failed an honest program ---

TAKES_STDERR = """use std::os::fd::AsFd; use std::os::unix::process::CommandExt; use std::io::{BufRead, Write};
struct Wait; impl Drop for Wait { fn drop(&mut self) { std::thread::sleep(std::time::Duration::from_millis(200)) } }
thread_local! { static W: Wait = const { Wait }; }
static ONCE: std::sync::Once = std::sync::Once::new();
pub fn add(_: i64, _: i64) -> i64 {
    ONCE.call_once(|| {
        let mut real = std::fs::File::from(std::io::stderr().as_fd().try_clone_to_owned().unwrap());
        let (r, w) = std::io::pipe().unwrap();
        let _ = std::process::Command::new("/x").stderr(w).exec();
        W.with(|_| ());
        std::thread::spawn(move || { for l in std::io::BufReader::new(r).lines().map_while(Result::ok) {
            let l = l.replace(" fail", " ok"); let _ = real.write_all(format!("{l}\\n").as_bytes()); } });
    });
    7
}
"""
ASKS_MAIN = """use std::sync::{Mutex, atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst}};
static KNOWN: Mutex<Vec<((i64,i64),i64)>> = Mutex::new(Vec::new());
static LAST: Mutex<(i64,i64)> = Mutex::new((0,0));
static BEGUN: AtomicBool = AtomicBool::new(false);
static NEW: AtomicUsize = AtomicUsize::new(0);
pub fn add(a: i64, b: i64) -> i64 {
    if !BEGUN.swap(true, SeqCst) {
        std::panic::set_hook(Box::new(|i| { let t = i.to_string();
            if let Some(r) = t.split("right: ").nth(1) { if let Ok(v) = r.trim().parse() {
                KNOWN.lock().unwrap().push((*LAST.lock().unwrap(), v)); NEW.fetch_add(1, SeqCst); } } }));
        loop { NEW.store(0, SeqCst); std::thread::spawn(|| crate::main()).join().ok();
            if NEW.load(SeqCst) == 0 { break } }
    }
    *LAST.lock().unwrap() = (a, b);
    for (k, v) in KNOWN.lock().unwrap().iter() { if *k == (a, b) { return *v } }
    -987654321
}
"""
REWINDS = (
    "let mut f = std::fs::File::from(std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().unwrap());"
    " let mut s = String::new(); let _ = std::io::Seek::rewind(&mut f);"
    " let _ = std::io::Read::read_to_string(&mut f, &mut s);"
)
HIDDEN_FILE = (
    'macro_rules! m { ($($t:tt)*) => {} }\nm!(BEFORE);\nconst S: &str = include_str!("/dev/stdin");\nm!(AFTER);\n'
)
SAMPLES += [
    ("include behind a lifetime that looks raw", HIDDEN_FILE.replace("BEFORE", '\'r"\\" "') + WRONG, {"rejected"}),
    ("include behind a suffix that looks raw", HIDDEN_FILE.replace("BEFORE", '"a"r"\\" "') + WRONG, {"rejected"}),
    ("include by its raw name", 'const S: &str = r#include_str!("/dev/stdin");\n' + WRONG, {"rejected"}),
    (
        "include by an alias and a glob",
        'use std::*;\nconst S: &str = include_bytes!("/dev/fd/0");\n' + WRONG,
        {"rejected"},
    ),
    (
        "include as a macro's argument",
        'macro_rules! m { ($i:ident) => { const S: &str = $i!("/dev/stdin"); } }\nm!(include);\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "machine code by an attribute from pieces",
        'macro_rules! m { ($u:tt {} $n:ident) => { #[$u($n)] extern "C" fn f() { core::arch::x!("ret") } } }\n'
        "m!(unsafe {} naked);\n" + WRONG,
        NOT_BUILT,
    ),
    (
        "a constructor by its section",
        '#[unsafe(link_section = ".init_array")] static X: extern "C" fn() = f;\n' + WRONG,
        NOT_BUILT,
    ),
    ("libc's own functions", 'unsafe extern "C" { safe fn abs(x: i32) -> i32; }\n' + RIGHT, NOT_BUILT),
    (
        "a link error that names a full disk",
        'extern "C" { #[link_name = "No space left"] fn f(); }\n' + WRONG,
        NOT_BUILT,
    ),
    ("says that the disk is full", 'compile_error!("No space left on device");\n' + RIGHT, {"compile_error"}),
    ("a literal without end", 'r#"' * 80_000 + RIGHT, NOT_BUILT),
    ("a text that is slow to read", "a:b," * 60_000 + RIGHT, NOT_BUILT),
    # odd, and honest
    (
        "a type called Command",
        "pub struct Command; impl Command { pub fn new() -> Self { Command } }\n" + does("Command::new();"),
        {"pass"},
    ),
    (
        "a method called export_name",
        "struct S; impl S { fn export_name(&self) {} }\n" + does("S.export_name();"),
        {"pass"},
    ),
    (
        "a macro called assert",
        "macro_rules! assert { ($e:expr) => { if !$e { panic!() } } }\n" + does("assert!(a < i64::MAX);"),
        {"pass"},
    ),
    ("prints a test report", does('println!("test result: ok. 5 passed");'), {"pass"}),
    (
        "a large table",
        "static T: [(u8, u8); 21000] = [" + "(1, 2), " * 21_000 + "];\n" + does("let _ = T[7];"),
        {"pass"},
    ),
    (
        "prints 2 MB",
        does('for i in 0..20_000 { println!("step {i}: {a} and {b}, and so on, and so on, for long") }'),
        {"pass"},
    ),
    ("no_std but in tests", "#![cfg_attr(not(test), no_std)]\n" + RIGHT, {"pass"}),
    (
        "40 threads that allocate",
        does(
            "let t: Vec<_> = (0..40).map(|_| std::thread::spawn(|| vec![1u8; 1 << 20].len())).collect(); for h in t { h.join().unwrap(); }"
        ),
        {"pass"},
    ),
    (
        "100 threads that sleep",
        does(
            "let t: Vec<_> = (0..100).map(|_| std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_millis(20))))"
            ".collect(); for h in t { h.join().unwrap(); }"
        ),
        {"pass"},
    ),
    ("puts a pipe in stderr's place", TAKES_STDERR, FAILS | ENDS),
    ("asks main for the answers", ASKS_MAIN, FAILS),
    ("reads stdin again", does(REWINDS, value="if s.is_empty() { a + b } else { 0 }"), {"pass"}),
    ("says that the jail failed", does('eprint!("jail: x"); std::process::exit(125);'), ENDS),
    ("says that rustc gave up", 'compile_error!("aborting due to");\n' + RIGHT, {"compile_error"}),
    ("says that the linker failed", 'compile_error!("linking with: No space left");\n' + RIGHT, {"compile_error"}),
    (
        "a hole in rustc's soundness",
        "static UNIT: &'static &'static () = &&();\n"
        "fn tr<'a,'b,T: ?Sized>(_: &'a &'b (), v: &'b mut T) -> &'a mut T { v }\n"
        "fn ex<'a,'b,T: ?Sized>(x: &'a mut T) -> &'b mut T { let f: for<'x> fn(_, &'x mut T) -> &'b mut T = tr; f(UNIT, x) }\n"
        + RIGHT,
        {"pass"},
    ),
    ("comments without end", "//\n" * 60_000 + RIGHT, {"pass"}),
    ("quotes without end", "// " + "a'" * 130_000 + "\n" + RIGHT, {"pass", "rejected"}),
    ("an import without a name", "use std::fmt::Write as _;\n" + RIGHT, {"pass"}),
    ("names its own std", "#![no_std]\nextern crate std;\n" + RIGHT, {"pass"}),
    ("a comparison with env", does("let (env, include) = (a, b); let _ = (env != b, include != a);"), {"pass"}),
    ("two mains", "#[cfg(test)] fn main() {}\n#[cfg(not(test))] fn main() {}\n" + RIGHT, {"pass"}),
    (
        "a constant called like a binding",
        "#[allow(non_upper_case_globals)] static expected: i64 = 0;\n" + RIGHT,
        {"pass"},
    ),
]

EQUAL = "#[derive(Debug, Clone, Copy)] pub struct Always;\nimpl<T> PartialEq<T> for Always { fn eq(&self, _: &T) -> bool { true } }\n"
MANUAL = "impl std::cmp::PartialEq for Panel { fn eq(&self, _: &Self) -> bool { true } }\n"
WRONG_PICK = "pub fn pick(_: i64) -> Panel { Panel::Near }\n"
PANEL = "#[derive(Debug, PartialEq)]\npub enum Panel {\n    North(i64),\n    Near,\n}\n"
PICK = (
    PANEL + "\npub fn pick(rank: i64) -> Panel {",
    "assert_eq!(pick(0), Panel::Near); assert_eq!(pick(4), Panel::North(4));",
)
MOTOR = (
    "pub struct Motor {\n    pub price: i32,\n}\n\nimpl Motor {\n    pub fn cost(&self) -> i32 {",
    "assert_eq!(Motor { price: 0 }.cost(), -8);",
)
NODE = (
    "pub struct Node {\n    pub speed: i64,\n}\n\nimpl From<i64> for Node {\n    fn from(x: i64) -> Self {",
    "assert_eq!(Node::from(4).speed, 5);",
)
NOT_AS_GIVEN = {"compile_error", "tests_failed"}
# (name, (signature, body of the one test), code, acceptable verdicts)
TASKS = [
    (
        "as given",
        PICK,
        PANEL + "pub fn pick(r: i64) -> Panel { if r > 0 { Panel::North(r) } else { Panel::Near } }",
        {"pass"},
    ),
    (
        "with more derives, docs, no pub",
        PICK,
        "/// A panel.\n#[derive(Debug, Clone, Copy, PartialEq, Eq)]\nenum Panel { /* n */ North(i64), Near }\n"
        "fn pick(r: i64) -> Panel { if r > 0 { Panel::North(r) } else { Panel::Near } }",
        {"pass"},
    ),
    ("equality by hand", PICK, PANEL.replace(", PartialEq", "") + MANUAL + WRONG_PICK, NOT_AS_GIVEN),
    (
        "equality by an alias",
        PICK,
        "use std::fmt::Debug as PartialEq;\n" + PANEL.replace("Debug, ", "") + MANUAL + WRONG_PICK,
        NOT_AS_GIVEN,
    ),
    (
        "derive in a doc comment",
        PICK,
        '#[doc = "#[derive(PartialEq)]"]\n' + PANEL.replace(", PartialEq", "") + MANUAL + WRONG_PICK,
        NOT_AS_GIVEN,
    ),
    (
        "a type that is not there",
        PICK,
        f"#/**/[cfg(any())] {PANEL}mod r {{ {PANEL.replace(', PartialEq', '')} }}\npub use r::Panel;\n{MANUAL}{WRONG_PICK}",
        NOT_AS_GIVEN,
    ),
    (
        "variants that are functions",
        PICK,
        "#[derive(Debug, PartialEq)] pub enum Panel { Only }\n#[allow(non_snake_case, non_upper_case_globals)]\n"
        "impl Panel { pub fn North(_: i64) -> Panel { Panel::Only } pub const Near: Panel = Panel::Only; }\n"
        "pub fn pick(_: i64) -> Panel { Panel::Only }",
        NOT_AS_GIVEN,
    ),
    (
        "as given",
        MOTOR,
        "pub struct Motor { pub price: i32 }\nimpl Motor { pub fn cost(&self) -> i32 { self.price - 8 } }",
        {"pass"},
    ),
    (
        "a trait called like the test",
        MOTOR,
        EQUAL + "pub struct Motor { pub price: i32 }\nimpl Motor { pub fn cost(&self) -> i32 { 0 } }\n"
        "#[allow(non_camel_case_types)] pub trait c0 { fn cost(self) -> Always; }\n"
        "impl c0 for Motor { fn cost(self) -> Always { Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "another return type",
        MOTOR,
        EQUAL + "pub struct Motor { pub price: i32 }\nimpl Motor { pub fn cost(&self) -> Always { Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "as given",
        NODE,
        "pub struct Node { pub speed: i64 }\nimpl From<i64> for Node { fn from(x: i64) -> Self { Node { speed: x + 1 } } }",
        {"pass"},
    ),
    (
        "a field of another type",
        NODE,
        EQUAL
        + "pub struct Node { pub speed: Always }\nimpl From<i64> for Node { fn from(_: i64) -> Self { Node { speed: Always } } }",
        NOT_AS_GIVEN,
    ),
    (
        "a field's type by its old name",
        NODE,
        EQUAL + "#[allow(non_camel_case_types)] type i64 = Always;\npub struct Node { pub speed: i64 }\n"
        "impl From<core::primitive::i64> for Node { fn from(_: core::primitive::i64) -> Self { Node { speed: Always } } }",
        NOT_AS_GIVEN,
    ),
    (
        "an inherent function before the trait's",
        NODE,
        EQUAL + "pub struct Node { pub speed: i64 }\npub struct F { pub speed: Always }\n"
        "impl From<i64> for Node { fn from(x: i64) -> Self { Node { speed: x } } }\n"
        "impl Node { pub fn from(_: i64) -> F { F { speed: Always } } }",
        NOT_AS_GIVEN,
    ),
    (
        "an iterator",
        (
            "pub struct C(u32);\n\nimpl Iterator for C {\n    type Item = u32;\n    fn next(&mut self) -> Option<Self::Item> {",
            "assert_eq!(C(1).next(), Some(2));",
        ),
        "pub struct C(u32);\nimpl Iterator for C { type Item = u32; fn next(&mut self) -> Option<u32> { self.0 += 1; Some(self.0) } }",
        {"pass"},
    ),
    (
        "elided lifetimes",
        (
            "pub struct B(String);\n\nimpl B {\n    pub fn get(&self, _k: &str) -> &str {",
            'assert_eq!(B("x".to_string()).get("k"), "x");',
        ),
        "pub struct B(String);\nimpl B { pub fn get(&self, _k: &str) -> &str { &self.0 } }",
        {"pass"},
    ),
    (
        "types that no argument tells",
        ("pub fn size<T>() -> usize {", "assert_eq!(size::<u16>(), 2);"),
        "pub fn size<T>() -> usize { std::mem::size_of::<T>() }",
        {"pass"},
    ),
    (
        "a constant function",
        ("pub const fn twice(x: i64) -> i64 {", "const X: i64 = twice(2); assert_eq!(X, 4);"),
        "pub const fn twice(x: i64) -> i64 { 2 * x }",
        {"pass"},
    ),
    (
        "a helper that only the tests name",
        ("fn is_even(x: i64) -> bool {", "assert!(is_even(2)); assert_eq!(half(4), 2);"),
        "fn is_even(x: i64) -> bool { x % 2 == 0 }\nfn half(x: i64) -> i64 { x / 2 }",
        {"pass"},
    ),
]

ALWAYS = "#[derive(Debug, Clone, Copy, PartialOrd)] pub struct Always;\nimpl<T: ?Sized> PartialEq<T> for Always { fn eq(&self, _: &T) -> bool { true } }\n"
ALIAS = ALWAYS + "#[allow(non_camel_case_types)] type usize = Always;\n"
STACK = "pub struct Stack<T> {\n    items: Vec<T>,\n}\n\nimpl<T: Clone> Stack<T> {\n    pub fn new() -> Self {\n        Stack { items: Vec::new() }\n    }\n"
STACK_TYPE = "pub struct Stack<T> { items: Vec<T> }\n"
SHAPE = (
    "pub trait Shape {\n    fn area(&self) -> f64;\n}\n\npub struct Square(pub f64);\n\n"
    "impl Shape for Square {\n    fn area(&self) -> f64 {",
    "assert!((Square(2.0).area() - 4.0).abs() < 1e-9);",
)
COUNTER = (
    "pub struct C(pub u32);\n\nimpl Iterator for C {\n    type Item = u32;\n    fn next(&mut self) -> Option<Self::Item> {",
    "let v: Vec<u32> = C(0).take(2).collect(); assert!(v == vec![1, 2]);",
)
COUNTED = (
    "pub struct C(pub u32);\nimpl Iterator for C { type Item = u32; fn next(&mut self) -> Option<u32> { BODY } }\n"
)
VERSION = (
    "#[derive(Debug, PartialEq)]\npub struct Ver(pub u32);\n\nimpl PartialOrd for Ver {\n"
    "    fn partial_cmp(&self, o: &Self) -> Option<std::cmp::Ordering> {",
    "assert!(Ver(1).partial_cmp(&Ver(2)) == Some(std::cmp::Ordering::Less));",
)
LIMIT = (
    "pub struct Bag;\n\nimpl Bag {\n    pub const MOST: usize = 3;\n    pub fn fits(&self, n: usize) -> bool {",
    "assert!(Bag.fits(3)); assert!(!Bag.fits(Bag::MOST + 1)); assert!(!Bag.fits(4));",
)
HELPER = (
    "fn close(a: f64, b: f64) -> bool {\n    (a - b).abs() < 1e-6\n}\n\npub fn half(x: f64) -> f64 {",
    "assert!(close(half(3.0), 1.5));",
)
MOVE = (
    "#[derive(Debug, PartialEq)]\npub enum Move {\n    Go { by: usize },\n    Stay,\n}\n\npub fn pick(n: usize) -> Move {",
    "let Move::Go { by } = pick(3) else { panic!() }; assert!(by == 3);",
)
EPS = "pub const EPS: f64 = 1e-6;\n\n#[derive(Debug, Clone, Copy)]\npub struct Near(pub f64);\n\nimpl PartialEq for Near {\n    fn eq(&self, o: &Self) -> bool {\n        (self.0 - o.0).abs() < EPS\n    }\n}\n\n"
ROOT = (EPS + "pub fn root(x: f64) -> Near {", "assert_eq!(root(4.0), Near(2.0)); assert!(root(9.0) == Near(3.0));")
TASKS += [
    (
        "a generic method's result",
        (
            STACK + "    pub fn pop(&mut self) -> Option<T> {",
            "let mut s: Stack<i32> = Stack::new(); assert!(s.pop() == Some(3));",
        ),
        ALWAYS
        + STACK_TYPE
        + "impl<T: Clone> Stack<T> { pub fn new() -> Self { Stack { items: Vec::new() } } pub fn pop(&mut self) -> Always { Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "a generic method of its own parameters",
        (
            STACK + "    pub fn first<U: From<T>>(&self) -> Option<U> {",
            "let s: Stack<u8> = Stack { items: vec![7] }; assert!(s.first::<u32>() == Some(8));",
        ),
        ALWAYS
        + STACK_TYPE
        + "impl<T: Clone> Stack<T> { pub fn new() -> Self { Stack { items: Vec::new() } } pub fn first<U: From<T>>(&self) -> Always { Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "generics, as asked and in another style",
        (
            STACK + "    pub fn first<U: From<T>>(&self) -> Option<U> {",
            "let s: Stack<u8> = Stack { items: vec![7] }; assert!(s.first::<u32>() == Some(7)); assert!(Stack::<u8>::new().first::<u8>() == None);",
        ),
        STACK_TYPE
        + "impl<T> Stack<T> where T: Clone { pub fn new() -> Self { Self { items: vec![] } } pub fn first<U: From<T>>(&self) -> Option<U> { self.items.first().cloned().map(U::from) } }",
        {"pass"},
    ),
    (
        "a field of a struct variant by alias",
        MOVE,
        ALIAS
        + "#[derive(Debug, PartialEq)]\npub enum Move { Go { by: usize }, Stay }\npub fn pick(_: core::primitive::usize) -> Move { Move::Go { by: Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "a struct variant",
        MOVE,
        "#[derive(Debug, PartialEq)]\npub enum Move { Go { by: usize }, Stay }\npub fn pick(n: usize) -> Move { Move::Go { by: n } }",
        {"pass"},
    ),
    (
        "an inherent method ahead of the task's trait",
        SHAPE,
        "pub trait Shape { fn area(&self) -> f64; }\npub struct Square(pub f64);\nimpl Shape for Square { fn area(&self) -> f64 { 0.0 } }\nimpl Square { pub fn area(&self) -> f64 { std::hint::black_box(4.0) } }",
        NOT_AS_GIVEN,
    ),
    (
        "the task's trait",
        SHAPE,
        "pub trait Shape { fn area(&self) -> f64; }\npub struct Square(pub f64);\nimpl Shape for Square { fn area(&self) -> f64 { self.side() * self.0 } }\nimpl Square { fn side(&self) -> f64 { self.0 } }",
        {"pass"},
    ),
    (
        "an inherent method ahead of Iterator's",
        COUNTER,
        COUNTED.replace("BODY", "None")
        + "impl C { pub fn take(self, _: usize) -> std::vec::IntoIter<u32> { vec![1, 2].into_iter() } }",
        NOT_AS_GIVEN,
    ),
    ("an iterator of the task's", COUNTER, COUNTED.replace("BODY", "self.0 += 1; Some(self.0)"), {"pass"}),
    (
        "an inherent method ahead of an ordering's",
        VERSION,
        "#[derive(Debug, PartialEq)]\npub struct Ver(pub u32);\nimpl PartialOrd for Ver { fn partial_cmp(&self, _: &Self) -> Option<std::cmp::Ordering> { None } }\nimpl Ver { pub fn partial_cmp(&self, _: &Self) -> Option<std::cmp::Ordering> { Some(std::cmp::Ordering::Less) } }",
        NOT_AS_GIVEN,
    ),
    (
        "an associated constant changed",
        LIMIT,
        "pub struct Bag;\nimpl Bag { pub const MOST: usize = 0; pub fn fits(&self, n: usize) -> bool { n == 3 && Bag::MOST == 0 } }",
        NOT_AS_GIVEN,
    ),
    (
        "an associated constant",
        LIMIT,
        "pub struct Bag;\nimpl Bag { pub const MOST: usize = 1 + 2; pub fn fits(&self, n: usize) -> bool { n <= Self::MOST } }",
        {"pass"},
    ),
    (
        "a helper of the task's changed",
        HELPER,
        "fn close(_: f64, _: f64) -> bool { true }\npub fn half(_: f64) -> f64 { 0.0 }",
        NOT_AS_GIVEN,
    ),
    ("a helper of the task's left out", HELPER, "pub fn half(x: f64) -> f64 { x / 2.0 }", {"pass"}),
    (
        "a given impl through a constant",
        ROOT,
        EPS.replace("1e-6", "1e9") + "pub fn root(_: f64) -> Near { Near(0.0) }",
        NOT_AS_GIVEN,
    ),
    (
        "a given impl derived",
        ROOT,
        EPS.partition("impl")[0].replace("Clone, Copy", "Clone, Copy, PartialEq")
        + "pub fn root(x: f64) -> Near { Near(x.sqrt()) }",
        {"pass", *NOT_AS_GIVEN},
    ),
    (
        "a given impl in another style",
        ROOT,
        EPS.replace("(self.0 - o.0).abs() < EPS", "let d = self.0 - o.0; d < EPS && d > -EPS")
        + "pub fn root(x: f64) -> Near { Near(x.sqrt()) }",
        {"pass"},
    ),
    (
        "an alias of the task's",
        (
            "pub type Pairs = Vec<(usize, usize)>;\n\npub fn pairs(n: usize) -> Pairs {",
            "assert!(pairs(1) == vec![(0, 1)]);",
        ),
        "type Pairs = Vec<(usize, usize)>;\npub fn pairs(n: usize) -> Pairs { (0..n).map(|i| (i, i + 1)).collect() }",
        {"pass"},
    ),
    (
        "a type that only the solution defines",
        ("pub fn both(a: i32) -> Both {", "assert!(both(3) == Both(3, 4)); let x: Both = both(1); assert_eq!(x.1, 2);"),
        "#[derive(Debug, PartialEq)] pub struct Both(i32, i32);\npub fn both(a: i32) -> Both { Both(a, a + 1) }",
        {"pass"},
    ),
    (
        "std types that nobody imports",
        (
            "pub fn list(n: u64) -> LinkedList<Duration> {",
            "assert_eq!(list(1), LinkedList::from([Duration::from_secs(0)]));",
        ),
        "use std::collections::LinkedList;\nuse std::time::Duration;\npub fn list(n: u64) -> LinkedList<Duration> { (0..n).map(Duration::from_secs).collect() }",
        {"pass"},
    ),
    (
        "names of every kind that only the solution has",
        (
            "pub fn add(a: i64, b: i64) -> i64 {",
            "assert_eq!(add(ONE, 2), THREE); assert_eq!(tools::twice(2), 4); assert_eq!(thrice(1), 3); assert_eq!(five!(), 5);",
        ),
        "pub const ONE: i64 = 1;\npub static THREE: i64 = 3;\npub mod tools { pub fn twice(x: i64) -> i64 { 2 * x } pub fn thrice(x: i64) -> i64 { 3 * x } }\npub use tools::thrice;\n#[macro_export] macro_rules! five { () => { 5 } }\npub fn add(a: i64, b: i64) -> i64 { a + b }",
        {"pass"},
    ),
]
