"""More attacks, and more honest answers, of the kinds that a second reader found: for `add`, and with types of their own.

Each is another way to the same end as one in hostile.py: a wall that stops only the shape it was built for lets it in.
"""
# ruff: noqa: E501 (the samples are lines of Rust)

from tests.grading.hostile import ENDS, EQUAL, FAILS, HEAD, NOT_AS_GIVEN, NOT_BUILT, RIGHT, WRONG, does

# With `peek`, whatever gives it, the report's secrets can be read; what the answers are is nowhere to be read.
FORGES = r"""
fn hex(p: usize) -> bool { (0..32).all(|i| { let b = *peek(p + i); b.is_ascii_digit() || (b'a'..=b'f').contains(&b) }) }
fn text(p: usize) -> String { (0..32).map(|i| *peek(p + i) as char).collect() }
fn word(p: usize) -> usize { (0..8).fold(0, |w, i| w | (*peek(p + i) as usize) << (8 * i)) }
fn forge() {
    let heap = Box::new(0u64); let heap = &*heap as *const u64 as usize;
    let mut at = (&heap as *const usize as usize) & !7;
    let mut nonce = None;
    for _ in 0..1000 {
        let p = word(at);
        if p > 0x10000 && p.abs_diff(heap) < 60_000 && p < heap + 2000 && hex(p) { nonce = Some(text(p)); break }
        at += 8;
    }
    static MARK: &str = "marker of mine";
    let mark = MARK.as_ptr() as usize;
    let mut base = mark & !4095;
    while !(*peek(base) == 0x7f && *peek(base + 1) == b'E' && *peek(base + 2) == b'L' && *peek(base + 3) == b'F') { base -= 4096 }
    let secret = (base..mark + 1500).find(|p| *peek(*p) == b'\n' && hex(*p + 1)).map(|p| text(p + 1));
    if let (Some(n), Some(s)) = (nonce, secret) {
        for i in 0..6 { eprint!("\n{s} 3\n\n{s}{n} {i} ok\n"); }
        std::process::exit(0);
    }
}
pub fn add(a: i64, b: i64) -> i64 { forge(); let _ = (a, b); 7 }
"""
NAKED = 'extern "C" fn peek(p: usize) -> &\'static u8 { core::arch::naked_asm!("mov rax, rdi", "ret") }\n'
TRANSMUTE = """
enum Either<A, B> { A(Option<Box<A>>), B(Option<Box<B>>) }
fn change<A, B>(a: A) -> B {
    fn inside<A, B>(either: &mut Either<A, B>, a: A) -> B {
        let Either::B(old) = either else { unreachable!() };
        let old = extend(old);
        *either = Either::A(Some(Box::new(a)));
        std::hint::black_box(&either);
        *old.take().unwrap()
    }
    inside(std::hint::black_box(&mut Either::B(None)), a)
}
fn peek(p: usize) -> &'static u8 { change::<usize, &'static u8>(p) }
"""
IMPLIED = """
static UNIT: &'static &'static () = &&();
fn same<'a, 'b, T: ?Sized>(_: &'a &'b (), v: &'b mut T) -> &'a mut T { v }
fn extend<'a, 'b, T: ?Sized>(x: &'a mut T) -> &'b mut T { let f: for<'x> fn(_, &'x mut T) -> &'b mut T = same; f(UNIT, x) }
"""
BY_PROJECTION = """
trait Trait { type Type; }
impl<T> Trait for T { type Type = (); }
fn long<'a, 'b>(s: &'a mut Option<Box<&'static u8>>) -> &'b mut Option<Box<&'static u8>> where <&'a &'b () as Trait>::Type: Sized { let _ = s; loop {} }
"""
BY_OUTLIVES = """
trait Sub<'a, 'b, R: ?Sized>: Super<'a, 'b, R> {}
trait Super<'a, 'b, R: ?Sized> { fn longer(s: &'b mut R, _: &'a &'b ()) -> &'a mut R; }
impl<'a, 'b, R: ?Sized> Super<'a, 'b, R> for () { fn longer(s: &'b mut R, _: &'a &'b ()) -> &'a mut R { s } }
impl<'a, 'b, R: ?Sized> Sub<'a, 'b, R> for () {}
fn make<'a, 'b, R: ?Sized, T: ?Sized + for<'x> Sub<'x, 'b, R>>(s: &'b mut R) -> &'a mut R { T::longer(s, &&()) }
fn extend<'a, 'b, T>(x: &'a mut T) -> &'b mut T { make::<T, ()>(x) }
"""
DYN = """
trait Object<U> { type Output; }
impl<T: ?Sized, U> Object<U> for T { type Output = U; }
fn through<T: ?Sized, U>(x: <T as Object<U>>::Output) -> U { x }
fn peek(p: usize) -> &'static u8 { through::<dyn Object<&'static u8, Output = usize>, &'static u8>(p) }
"""
NOISE = "macro_rules! m { ($($t:tt)*) => {} }\n"
UNDER_ALL = '#[cfg_attr(all(), unsafe(naked))] extern "C" fn f() { core::arch::naked_asm!("ret") }\n'

SAMPLES = [
    # machine code, and symbols of one's own
    ("naked, written apart", "#[unsafe /* */ (naked)] " + NAKED + FORGES, NOT_BUILT),
    ("naked, by cfg_attr", UNDER_ALL + WRONG, NOT_BUILT),
    (
        "naked, a macro's tokens",
        NOISE.replace("{}", "{ $($t)* }") + "m!{ #[unsafe(naked)] " + NAKED + "}" + FORGES,
        NOT_BUILT,
    ),
    (
        "naked, an attribute by a fragment",
        "macro_rules! m { ($a:meta) => { #[$a] " + NAKED + " } }\nm!(unsafe(naked));" + FORGES,
        NOT_BUILT,
    ),
    (
        "naked, a block under another name",
        'use core::arch::naked_asm as n;\n#[unsafe(naked)] extern "C" fn f() { n!("ret") }\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "assembly beside functions",
        'core::arch::global_asm!(".globl memcmp", "memcmp: xor eax, eax", "ret");\n' + WRONG,
        NOT_BUILT,
    ),
    ("assembly under another name", 'use std::arch::global_asm as g;\ng!("nop");\n' + WRONG, NOT_BUILT),
    (
        "a libc function of one's own",
        '#[no_mangle] pub extern "C" fn memcmp(_: usize, _: usize, _: usize) -> i32 { 0 }\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "the same by its export",
        '#[unsafe(export_name = "bcmp")] pub extern "C" fn x(_: usize, _: usize, _: usize) -> i32 { 0 }\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "a constructor, without unsafe",
        '#[link_section = ".init_array"] #[used] static X: extern "C" fn() = f;\nextern "C" fn f() { std::process::exit(0) }\n'
        + WRONG,
        NOT_BUILT,
    ),
    (
        "a block's word by a macro",
        'macro_rules! m { ($e:tt) => { $e "C" { fn abs(x: i32) -> i32; } } }\nm!(extern);\n' + WRONG,
        NOT_BUILT | FAILS,
    ),
    # holes in the compiler's soundness: the forger reads every byte, and still cannot know the answers
    ("a hole: implied bounds", IMPLIED + TRANSMUTE + FORGES, NOT_BUILT | FAILS | ENDS | {"run_crash"}),
    ("a hole: a supertrait's bounds", BY_OUTLIVES + TRANSMUTE + FORGES, NOT_BUILT | FAILS | ENDS | {"run_crash"}),
    ("a hole: a projection's bounds", BY_PROJECTION + WRONG, NOT_BUILT | FAILS),
    ("a hole: an object's own type", DYN + FORGES, NOT_BUILT | FAILS | ENDS | {"run_crash"}),
    (
        "a hole, used in another thread",
        DYN + FORGES.replace("{ forge();", "{ let _ = std::thread::spawn(forge).join();"),
        NOT_BUILT | FAILS | ENDS | {"run_crash"},
    ),
    # what the compiler could read
    (
        "stdin by a byte string",
        NOISE + 'm!(br#""#\'r"\\" ");\nconst S: &[u8] = include_bytes!("/dev/stdin");\nm!(\'r"\\" ");\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "stdin by a C string's hashes",
        NOISE + 'm!(cr#"\\"#);\nconst S: &str = include_str!("/proc/thread-self/fd/0");\nm!(cr#"\\"#);\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "stdin behind nested comments",
        '/* /* */ */ const S: &str = include_str!(/* */ "/proc/self/fd/0" /* */);\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "stdin behind a character",
        "const Q: char = '\"'; const S: &str = include_str!(\"/dev/stdin\"); const R: char = '\"';\n" + WRONG,
        NOT_BUILT,
    ),
    ("stdin by concat", 'const S: &str = include_str!(concat!("/proc/", "self/fd/0"));\n' + WRONG, NOT_BUILT),
    (
        "the worker's own memory",
        'const S: &[u8] = include_bytes!("/proc/self/../../proc/1/environ");\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "an import with a list",
        'use std::{include_str as a, include_bytes as b};\nconst S: &str = a!("/dev/fd/0");\n' + WRONG,
        NOT_BUILT,
    ),
    ("an import by a raw name", 'use std::r#include_str as a;\nconst S: &str = a!("/dev/stdin");\n' + WRONG, NOT_BUILT),
    ("a module of the disk", '#[cfg_attr(all(), path = "/dev/stdin")] mod x;\n' + WRONG, NOT_BUILT),
    ("a module beside it", "mod candidate;\n" + WRONG, NOT_BUILT),
    ("docs of the disk", '#[doc = include_str!("/dev/stdin")]\n' + WRONG, NOT_BUILT),
    ("docs of the file", '#![doc = include_str!("/dev/stdin")]\n' + WRONG, NOT_BUILT),
    (
        "an expression from stdin",
        'pub fn add(a: i64, b: i64) -> i64 { let _ = (a, b); include!("/dev/stdin") }\n',
        NOT_BUILT,
    ),
    (
        "the environment, optional",
        'const P: Option<&str> = option_env!("HOME");\n' + does("if P.is_some() { return 0 }"),
        NOT_BUILT,
    ),
    # faults that are not ours
    (
        "a warning of a full disk",
        '#[deprecated(note = "No space left on device (os error 28)")] fn f() {}\n' + does("f();", value="a - b"),
        FAILS,
    ),
    (
        "a linker's words in an error",
        'compile_error!("linking with `cc` failed: signal: 25 (SIGXFSZ)");\n' + WRONG,
        {"compile_error"},
    ),
    ("a panic of a full disk", does('panic!("No space left on device (os error 28)");'), FAILS),
    ("ends as the jail does", does("std::process::exit(125);"), ENDS),
    ("ends as a lost worker does", does("std::process::exit(137);"), ENDS),
    (
        "says the jail's words",
        does('eprint!("jail: execve: No space left on device\\n"); std::process::abort();'),
        {"run_crash"},
    ),
    (
        "sleepers that yield",
        does(
            "let t: Vec<_> = (0..30).map(|i| std::thread::spawn(move || loop { std::thread::sleep(std::time::Duration::from_micros(900 + i)); std::thread::yield_now(); })).collect(); for h in t { let _ = h.join(); }"
        ),
        {"run_timeout"},
    ),
    (
        "one that waits for itself",
        does("let m = std::sync::Mutex::new(0); let _g = m.lock(); let _h = m.lock();"),
        {"run_timeout", "tests_failed"},
    ),
    (
        "fills its disk",
        does(
            'use std::io::Write; for i in 0.. { match std::fs::File::create(format!("x{i}")) { Ok(mut f) => { if f.write_all(&[0; 1 << 16]).is_err() { break } } Err(_) => break } }'
        ),
        {"pass"},
    ),
    ("an import that is none, for a reader to stumble over", "use std::{self, :{self}};\n" + RIGHT, {"compile_error"}),
    # parsers that hang
    ("raw strings with hashes", 'r##"' * 60_000 + RIGHT, NOT_BUILT),
    ("byte strings without end", 'br#"' * 60_000 + RIGHT, NOT_BUILT),
    ("comments that open", "/*" * 120_000 + RIGHT, NOT_BUILT),
    (
        "generics that open",
        "fn f() { a" + "::<b" * 60_000 + "\n" + RIGHT,
        NOT_BUILT | {"compile_resource", "compile_timeout"},
    ),
    ("attributes that open", "#[a(" * 60_000 + RIGHT, NOT_BUILT | {"compile_resource", "compile_timeout"}),
    (
        "closures that open",
        does("", value="(" + "|x|" * 20_000 + "a" + ")"),
        NOT_BUILT | {"compile_resource", "compile_timeout"},
    ),
    ("quotes that open", "'\"" * 100_000 + RIGHT, NOT_BUILT),
    ("macros that open", "m!{" * 40_000 + RIGHT, NOT_BUILT | {"compile_resource", "compile_timeout"}),
    # the report
    (
        "prints until its line is cut",
        does('for i in 0..20_000 { eprintln!("{i:60}") }', value="7"),
        FAILS | {"output_limit"},
    ),
    (
        "closes stderr",
        does("use std::os::fd::AsFd; let f = std::io::stderr().as_fd().try_clone_to_owned(); drop(f);", value="7"),
        FAILS,
    ),
    (
        "answers by where it is asked from",
        "#[track_caller] "
        + HEAD
        + " let l = std::panic::Location::caller().line(); let _ = (a, b); (l % 2) as i64 * 3 }\n",
        FAILS,
    ),
    (
        "reads its callers",
        does('let s = std::backtrace::Backtrace::force_capture().to_string(); if s.contains("hidden_") { return 0 }'),
        {"pass"},
    ),
    # found later: the same ends by other words
    (
        "a module of the disk by a fragment",
        'macro_rules! m { ($m:meta) => { #[$m] mod x; } }\nm!(path = "/proc/self/environ");\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "docs of the disk, a macro's tokens",
        'macro_rules! m { ($($t:tt)*) => { #[doc = $($t)*] pub fn z() {} } }\nm!(include_str!("/dev/stdin"));\n'
        + WRONG,
        NOT_BUILT,
    ),
    (
        "stdin by another name of core",
        'extern crate core as c;\nconst S: &str = c::include_str!("/proc/self/fd/0");\n' + WRONG,
        NOT_BUILT,
    ),
    (
        "a module that passes a macro on",
        'mod q { pub use std::include_bytes as z; }\nuse q::*;\nconst S: &[u8] = z!("/proc/self/maps");\n' + WRONG,
        NOT_BUILT,
    ),
    ("an error that reads", 'compile_error!(include_str!("/dev/stdin"));\n' + WRONG, NOT_BUILT),
    (
        "a file's tokens without a macro's bang",
        'macro_rules! m { ($a:ident, $p:literal) => { const S: &[u8] = $a!($p); } }\nm!(include_bytes, "/dev/fd/0");\n'
        + WRONG,
        NOT_BUILT,
    ),
    (
        "naked by a raw word",
        "macro_rules! m { ($($t:tt)*) => { $($t)* } }\nm!{ #[r#unsafe(naked)] " + NAKED + "}" + FORGES,
        NOT_BUILT,
    ),
    (
        "foreign functions by a literal",
        'macro_rules! m { ($e:literal { $($t:tt)* }) => { unsafe extern $e { $($t)* } } }\nm!("C" { safe fn exit(c: i32) -> !; });\n'
        + does("exit(0);", value="7"),
        NOT_BUILT,
    ),
    (
        "an allocator of one's own",
        "struct A;\nunsafe impl std::alloc::GlobalAlloc for A { unsafe fn alloc(&self, _: std::alloc::Layout) -> *mut u8 { std::process::exit(0) } unsafe fn dealloc(&self, _: *mut u8, _: std::alloc::Layout) {} }\n#[global_allocator] static G: A = A;\n"
        + WRONG,
        NOT_BUILT,
    ),
    ("a handler of panics", "#[panic_handler] fn p(_: &core::panic::PanicInfo) -> ! { loop {} }\n" + WRONG, NOT_BUILT),
    ("libraries of every kind", '#![crate_type = "cdylib"]\n#![crate_type = "staticlib"]\n' + WRONG, FAILS),
    (
        "ends as the value of a panic is dropped",
        "struct P; impl Drop for P { fn drop(&mut self) { std::process::exit(0) } }\n"
        + does("std::panic::panic_any(P);", value="7"),
        FAILS,
    ),
    (
        "ends by words from a macro",
        "macro_rules! p { ($a:ident $b:ident) => { std::$a::$b } }\n" + does("p!(process exit)(0);", value="7"),
        ENDS,
    ),
    ("a result that never comes", "pub fn add(_: i64, _: i64) -> ! { std::process::exit(0) }\n", ENDS | NOT_BUILT),
    (
        "a constant without end, by calls",
        "const fn f(n: u64) -> u64 { f(n + 1) }\nconst X: u64 = f(0);\n" + does("let _ = X;", value="7"),
        NOT_BUILT,
    ),
    (
        "a macro that doubles itself",
        '#![recursion_limit = "100000"]\nmacro_rules! m { ($($t:tt)*) => { m!($($t)* $($t)*); } }\nm!(a);\n' + WRONG,
        NOT_BUILT | {"compile_resource", "compile_timeout"},
    ),
    (
        "a folder that nobody may open is left",
        does(
            'use std::{fs, os::unix::fs::PermissionsExt}; let _ = fs::create_dir("x"); let _ = fs::write("x/y", "z"); let no = || fs::Permissions::from_mode(0); let _ = fs::set_permissions("x", no()); let _ = fs::set_permissions(".", no());'
        ),
        {"pass"},
    ),
    (
        "folders without end are left",
        does(
            'for _ in 0..3000 { if std::fs::create_dir("d").is_err() || std::env::set_current_dir("d").is_err() { break } }'
        ),
        {"pass"},
    ),
]

HONEST = [
    (
        "a process of its own",
        "mod process { pub struct Command; impl Command { pub fn new(_: &str) -> Self { Command } } }\n"
        + does('let _ = process::Command::new("x");'),
    ),
    ("a function called exit", "fn exit(_: i32) {}\nfn abort() {}\n" + does("exit(1); abort();")),
    (
        "a field called unsafe_code",
        "struct S { no_mangle: i64, link: i64 }\n"
        + does("let s = S { no_mangle: a, link: b }; let _ = s.no_mangle + s.link;"),
    ),
    (
        "a function called naked",
        "fn naked() -> i64 { 0 }\nfn export_name() -> i64 { 0 }\n" + does("let _ = naked() + export_name();"),
    ),
    (
        "own panics",
        "macro_rules! panic { ($($t:tt)*) => { std::panic!($($t)*) } }\n" + does('if false { panic!("no {a}") }'),
    ),
    ("own vec", "macro_rules! vec { ($($t:expr),*) => { [$($t),*].to_vec() } }\n" + does("let _ = vec![a, b];")),
    (
        "own assertions",
        "macro_rules! assert_eq { ($a:expr, $b:expr $(,)?) => { if $a != $b { panic!() } } }\n"
        + does("assert_eq!(a, a);"),
    ),
    (
        "prints a whole report",
        does('println!("running 5 tests\\ntest tests::c0 ... ok\\n\\ntest result: ok. 5 passed; 0 failed");'),
    ),
    ("tells of an error", does('eprintln!("error: No space left on device"); eprintln!("jail: no");')),
    ("a library by name", '#![crate_type = "rlib"]\n#![crate_name = "sums"]\n' + RIGHT),
    (
        "a library's head",
        "//! Adds.\n#![cfg_attr(not(test), no_std)]\n#![warn(missing_docs)]\n#![cfg_attr(docsrs, feature(doc_cfg))]\n/// Adds.\n"
        + RIGHT,
    ),
    ("forbids what is unsafe", "#![forbid(unsafe_code)]\n#![deny(warnings, clippy::pedantic)]\n" + RIGHT),
    (
        "speaks of unsafe",
        '/// Not unsafe: no asm!, no include_str!("x"), no #[no_mangle].\n'
        + does('let _ = "unsafe { include!(x) } #[no_mangle] extern \\"C\\" {";'),
    ),
    ("a table of strings", "static T: &[(&str, u32)] = &[" + '("a", 1), ' * 10_000 + "];\n" + does("let _ = T[3].1;")),
    ("two megabytes, without lines", does('for _ in 0..30_000 { print!("{:70}", a) }')),
    (
        "a hundred threads that lock",
        does(
            "let m = std::sync::Arc::new(std::sync::Mutex::new(0)); let t: Vec<_> = (0..100).map(|_| { let m = m.clone(); std::thread::spawn(move || { *m.lock().unwrap() += 1; std::thread::sleep(std::time::Duration::from_millis(5)) }) }).collect(); for h in t { h.join().unwrap(); }"
        ),
    ),
    (
        "scoped threads that allocate",
        does(
            "let n: usize = std::thread::scope(|s| (0..64).map(|_| s.spawn(|| vec![1u8; 1 << 20].len())).collect::<Vec<_>>().into_iter().map(|h| h.join().unwrap()).sum()); std::hint::black_box(n);"
        ),
    ),
    ("a panic that is caught", does("let _ = std::panic::catch_unwind(|| { let v: Vec<i64> = vec![]; v[0] });")),
    (
        "an error type of its own",
        '#[derive(Debug)] struct Error;\nimpl std::fmt::Display for Error { fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { f.write_str("e") } }\nimpl std::error::Error for Error {}\n'
        + does("let _: Result<(), Box<dyn std::error::Error>> = Err(Box::new(Error));"),
    ),
    (
        "its own names for results",
        "type Result<T> = std::result::Result<T, String>;\nfn f() -> Result<i64> { Ok(1) }\n" + does("let _ = f();"),
    ),
    (
        "its own Option",
        "#[derive(Debug)] enum Option<T> { Some(T), None }\nuse self::Option::*;\n"
        + does("let x: Option<i64> = Some(a); let y: Option<i64> = None; let _ = (x, y);"),
    ),
    (
        "a module of tests with helpers",
        RIGHT
        + "#[cfg(test)] mod tests { use super::*; fn helper() -> i64 { 3 } #[test] fn c0() { assert_eq!(add(1, 2), helper()) } }",
    ),
    ("docs with a fence", "/// ```\n/// assert_eq!(add(1, 2), 3);\n/// ```\n" + RIGHT),
    ("an inner function called main", does("fn main() {} main();")),
    ("windows line ends, comments", RIGHT.replace(" { ", " {\r\n// adds\r\n").replace(" }", "\r\n}")),
    ("unicode names", "fn größe(ß: i64) -> i64 { ß }\n" + does("let _ = größe(a);")),
    (
        "lifetimes that look like characters",
        "fn f<'a>(x: &'a str, _: char) -> &'a str { x }\n" + does("let _ = f(\"'\", '\\'');"),
    ),
    (
        "a const evaluation",
        "const fn sum(n: i64) -> i64 { let mut i = 0; let mut s = 0; while i < n { s += i; i += 1 } s }\nconst S: i64 = sum(1000);\n"
        + does("let _ = S;"),
    ),
    (
        "generic over what adds",
        "fn plus<T: std::ops::Add<Output = T>>(a: T, b: T) -> T { a + b }\n" + does("", value="plus(a, b)"),
    ),
    (
        "exports a macro",
        "#[macro_export] macro_rules! plus { ($a:expr, $b:expr) => { $a + $b } }\n" + does("", value="plus!(a, b)"),
    ),
    (
        "denies dead code, and has a main with a helper",
        "#![deny(dead_code, unused)]\n"
        + RIGHT
        + 'fn show(x: i64) { println!("{x}") }\nfn main() { show(add(1, 2)); }\n',
    ),
    (
        "a future that it runs itself",
        "use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};\nasync fn plus(a: i64, b: i64) -> i64 { a + b }\n"
        + does(
            "let mut f = pin!(plus(a, b)); let Poll::Ready(sum) = f.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!() };",
            value="sum",
        ),
    ),
    (
        "a deep recursion on a stack of its own",
        "fn depth(n: u64) -> u64 { if n == 0 { 0 } else { 1 + depth(n - 1) } }\n"
        + does(
            "let t = std::thread::Builder::new().stack_size(256 << 20).spawn(|| depth(1_000_000)); let _ = t.unwrap().join();"
        ),
    ),
    (
        "reads its input, which is empty",
        does("let mut s = String::new(); assert_eq!(std::io::stdin().read_line(&mut s).unwrap(), 0);"),
    ),
    (
        "a macro that passes attributes on, and a path",
        "macro_rules! make { ($(#[$m:meta])* $n:ident) => { $(#[$m])* struct $n { path: &'static str } } }\nmake!{ #[derive(Debug)] S }\n"
        + does('let path = "unsafe"; let _ = S { path };'),
    ),
    (
        "names that the tests' own code has",
        "#![allow(non_upper_case_globals, non_camel_case_types)]\nconst p0: i64 = 9;\nstatic value: i64 = 1;\nstruct nonce;\ntrait c0 {}\nfn cases() {}\nmod std_ {}\n"
        + does("cases(); let _ = (p0, value, nonce);"),
    ),
    (
        "exports its function from a module under another name",
        "mod inner { pub fn plus(a: i64, b: i64) -> i64 { a + b } }\npub use self::inner::plus as add;\n",
    ),
    (
        "makes its function by a macro",
        "macro_rules! make { ($n:ident, $op:tt) => { pub fn $n(a: i64, b: i64) -> i64 { a $op b } } }\nmake!(add, +);\n",
    ),
]

FENCE, CLOSED = "```rust\n", "\n```\n"
DRAFT = HEAD + " a - b }"
ANSWERS = [
    ("prose behind a closing fence", RIGHT + "```\nThis adds both numbers, `a` and `b`.\n"),
    ("a fence in a quote", "> Here it is:\n> ```rust\n> " + RIGHT.strip() + "\n> ```\n"),
    ("on one line", "Use ```rust " + RIGHT.strip() + "``` and be done."),
    ("closed without a newline", FENCE + RIGHT.strip() + "```"),
    ("closed by a token", FENCE + RIGHT + "<|im_end|>\n<|im_start|>user\nThanks"),
    ("closed by llama's token", FENCE + RIGHT + "```<|eot_id|>"),
    (
        "reasons first",
        "<think>\nPerhaps\n" + FENCE + DRAFT + CLOSED + "No, wrong.\n</think>\n" + FENCE + RIGHT + CLOSED,
    ),
    ("reasons without an opening", "It could be\n" + FENCE + DRAFT + CLOSED + "</think>\n" + FENCE + RIGHT + CLOSED),
    (
        "a draft, then the answer",
        "First try:\n" + FENCE + DRAFT + CLOSED + "That subtracts. Final:\n" + FENCE + RIGHT + CLOSED,
    ),
    ("the stub quoted", "Given\n" + FENCE + HEAD + "\n    todo!()\n}" + CLOSED + "write\n" + FENCE + RIGHT + CLOSED),
    (
        "a helper in its own block",
        FENCE + "fn plus(a: i64, b: i64) -> i64 { a + b }" + CLOSED + "and\n" + FENCE + HEAD + " plus(a, b) }" + CLOSED,
    ),
    (
        "imports in their own block",
        FENCE + "use std::ops::Add;" + CLOSED + "then\n" + FENCE + HEAD + " Add::add(a, b) }" + CLOSED,
    ),
    (
        "tests in a block behind",
        FENCE
        + RIGHT
        + CLOSED
        + "Tests:\n"
        + FENCE
        + "#[cfg(test)]\nmod tests { use super::*; #[test] fn t() { assert_eq!(add(1, 2), 3); } }"
        + CLOSED,
    ),
    (
        "a use behind",
        FENCE + RIGHT + CLOSED + "Use it:\n" + FENCE + 'fn main() { println!("{}", add(1, 2)); }' + CLOSED,
    ),
    ("a fence in block docs", FENCE + "/**\nAdds.\n```\nassert_eq!(add(1, 2), 3);\n```\n*/\n" + RIGHT + CLOSED),
    ("tildes", "~~~rust\n" + RIGHT + "~~~\n"),
    ("four backticks", "````rust\n" + RIGHT + "````\n"),
    ("another language beside", FENCE + RIGHT + CLOSED + "In Python:\n```python\ndef add(a, b): return a - b\n```\n"),
    ("a shell behind", FENCE + RIGHT + CLOSED + "```bash\ncargo test\n```\n"),
    ("a toml before", "```toml\n[dependencies]\n```\n" + FENCE + RIGHT + CLOSED),
    (
        "in a numbered list, deep",
        "1. First\n   - then\n\n        ```rust\n        " + RIGHT.strip() + "\n        ```\n2. Done\n",
    ),
    ("tagged with attributes", "```rust,ignore\n" + RIGHT + "```\n"),
    ("tagged Rust", "```Rust\n" + RIGHT + "```\n"),
    ("tagged rs", "```rs\n" + RIGHT + "```\n"),
    ("no tag", "```\n" + RIGHT + "```\n"),
    ("sentences around bare code", "Here is the function:\n\n" + RIGHT + "\nIt returns the sum.\n"),
    (
        "harmony's final message",
        "<|channel|>analysis<|message|>maybe a - b<|end|><|start|>assistant<|channel|>final<|message|>"
        + FENCE
        + RIGHT
        + CLOSED
        + "<|return|>",
    ),
    ("windows line ends", (FENCE + RIGHT + CLOSED).replace("\n", "\r\n")),
    ("what not to do, behind", FENCE + RIGHT + CLOSED + "Do not write `a - b`."),
    ("its output behind", FENCE + RIGHT + CLOSED + "Output:\n```text\n3\n```\n"),
]

LEN = "pub struct Stack<T> {\n    items: Vec<T>,\n}\n\nimpl<T> Stack<T> {\n    pub fn new() -> Self {\n        Stack { items: Vec::new() }\n    }\n    pub fn push(&mut self, item: T) {\n        self.items.push(item);\n    }\n    pub fn len(&self) -> usize {"
STACK = (LEN, "let mut s = Stack::new(); s.push(1); s.push(2); assert!(s.len() > 1); assert_eq!(s.len(), 2);")
STACKED = "pub struct Stack<T> { items: Vec<T> }\nimpl<T> Stack<T> { pub fn new() -> Self { Stack { items: Vec::new() } } pub fn push(&mut self, item: T) { self.items.push(item); } "
ORDER = "impl<T> PartialOrd<T> for Always { fn partial_cmp(&self, _: &T) -> Option<std::cmp::Ordering> { Some(std::cmp::Ordering::Greater) } }\n"
GEO = (
    "pub mod geo {\n    pub fn area(w: i64, h: i64) -> i64 {",
    "assert!(geo::area(2, 3) > 5); assert!(geo::area(2, 3) == 6);",
)
TRUTH = "#[derive(Debug, Clone, Copy)] pub struct Truth;\nimpl std::ops::Not for Truth { type Output = Truth; fn not(self) -> Truth { Truth } }\nimpl PartialEq<bool> for Truth { fn eq(&self, o: &bool) -> bool { !*o } fn ne(&self, o: &bool) -> bool { *o } }\n"
SUM = (
    "pub struct V(pub i64);\n\nimpl std::ops::Add for V {\n    type Output = V;\n    fn add(self, o: V) -> V {",
    "assert!((V(1) + V(2)).0 > 2); assert_eq!((V(1) + V(2)).0, 3);",
)
SHAPE = (
    "#[derive(Debug, Clone, PartialEq)]\npub enum Shape {\n    Circle { r: i64 },\n    Square(i64),\n    Empty,\n}\n"
)
GROW = (
    SHAPE + "\npub fn grow(s: &Shape) -> Shape {",
    "assert_eq!(grow(&Shape::Square(2)), Shape::Square(3)); assert_eq!(grow(&Shape::Circle { r: 1 }), Shape::Circle { r: 2 });",
)
GROWN = (
    SHAPE
    + "pub fn grow(s: &Shape) -> Shape { match s { Shape::Circle { r } => Shape::Circle { r: r + 1 }, Shape::Square(x) => Shape::Square(x + 1), Shape::Empty => Shape::Empty } }"
)
ARRAY = (
    "pub fn firsts<const N: usize>(x: &[i64]) -> [i64; N] {",
    "let a: [i64; 2] = firsts(&[1, 2, 3]); assert!(a[0] < a[1]); assert_eq!(a, [1, 2]);",
)
EVENS = (
    "pub fn evens(n: u32) -> impl Iterator<Item = u32> {",
    "assert!(evens(5).all(|x| x % 2 == 0)); assert_eq!(evens(5).collect::<Vec<_>>(), vec![0, 2, 4]);",
)
PARSED = (
    "pub struct P(pub i64);\n\nimpl std::str::FromStr for P {\n    type Err = String;\n    fn from_str(s: &str) -> Result<Self, Self::Err> {",
    'assert!("5".parse::<P>().is_ok()); assert!("x".parse::<P>().is_err()); assert_eq!("5".parse::<P>().unwrap().0, 5);',
)
SWAP = (
    "pub fn swap(pair: &mut (i64, i64)) {",
    "let mut p = (1, 2); swap(&mut p); assert_eq!(p, (2, 1)); assert!(p.0 > p.1);",
)
NAMED = (
    "pub trait Named {\n    fn name(&self) -> String;\n    fn loud(&self) -> String {\n        self.name().to_uppercase()\n    }\n}\n\npub struct Dog;\n\nimpl Named for Dog {\n    fn name(&self) -> String {",
    'assert_eq!(Dog.name(), "dog"); assert!(Dog.loud() == "DOG");',
)
TABLE = (
    "pub static TABLE: [i64; 3] = [1, 2, 3];\n\npub fn at(i: usize) -> i64 {",
    "assert!(at(1) == TABLE[1]); assert_eq!(at(2), TABLE[2]);",
)
IS_EVEN = (
    "pub fn is_even(n: i64) -> bool {",
    "assert!(is_even(2)); assert!(!is_even(3)); assert_eq!(is_even(4), true);",
)

PLUS = (
    "pub struct V(pub i64);\n\nimpl std::ops::Add<i64> for V {\n    type Output = V;\n    fn add(self, o: i64) -> V {",
    "assert!((V(1) + 2).0 > 2); assert!([1, 2].map(|i| (V(i) + 2).0).is_sorted());",
)

GARDEN = (
    "pub mod garden {\n    use std::collections::BTreeMap;\n    pub const ROWS: i64 = 3;\n    #[derive(Debug, Clone, PartialEq)]\n    pub struct Bed { pub row: i64 }\n    impl Bed {\n        pub fn new(row: i64) -> Bed {\n            Bed { row }\n        }\n    }\n    pub mod tools {\n        use super::Bed;\n        pub fn dig(bed: &Bed) -> Bed {\n            todo!()\n        }\n    }\n    pub fn plan(beds: &[Bed]) -> BTreeMap<i64, usize> {",
    "use garden::{tools::dig, Bed}; assert!(dig(&Bed::new(1)) == Bed { row: 2 }); assert!(garden::plan(&[Bed::new(1)]).len() < 2 && garden::ROWS == 3);",
)
PLANTED = "pub mod garden { use std::collections::BTreeMap; pub const ROWS: i64 = 3; #[derive(Debug, Clone, PartialEq)] pub struct Bed { pub row: i64 } impl Bed { pub fn new(row: i64) -> Bed { Bed { row } } } pub mod tools { use super::Bed; pub fn dig(b: &Bed) -> Bed { Bed { row: b.row + 1 } } } pub fn plan(b: &[Bed]) -> BTreeMap<i64, usize> { BTreeMap::from([(ROWS, b.len())]) } }"
WEAK_GEO = (GEO[0], "assert!(geo::area(2, 3) > 5);")

TASKS = [
    ("modules in a module", GARDEN, PLANTED, {"pass"}),
    ("modules in a module, wrong", GARDEN, PLANTED.replace("b.row + 1", "b.row"), FAILS),
    (
        "equality by hand in the task's module",
        GARDEN,
        PLANTED.replace(", PartialEq", "")
        .replace("impl Bed", "impl PartialEq for Bed { fn eq(&self, _: &Bed) -> bool { true } } impl Bed")
        .replace("b.row + 1", "0"),
        NOT_AS_GIVEN,
    ),
    (
        "a constant in the task's module",
        GARDEN,
        PLANTED.replace("ROWS: i64 = 3", "ROWS: i64 = 4"),
        {"pass", *NOT_AS_GIVEN},
    ),
    (
        "the task's module by another way",
        GARDEN,
        "mod inner { pub use crate::garden as again; }\n"
        + PLANTED.replace("pub mod garden", "#[cfg(all())] pub mod garden"),
        NOT_AS_GIVEN,
    ),
    (
        "a result of the task's module, weak tests",
        WEAK_GEO,
        "pub mod geo {\n" + EQUAL + ORDER + "pub fn area(_: i64, _: i64) -> Always { Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "a truth of the task's module",
        ("pub mod geo {\n    pub fn ok(w: i64) -> bool {", "assert!(geo::ok(2)); assert!(!geo::ok(3));"),
        "pub mod geo {\n" + TRUTH + "pub fn ok(_: i64) -> Truth { Truth } }",
        NOT_AS_GIVEN,
    ),
    (
        "a truth, without a signature",
        ("", "assert!(is_even(2)); assert!(!is_even(3));"),
        TRUTH + "pub fn is_even(_: i64) -> Truth { Truth }",
        NOT_AS_GIVEN,
    ),
    (
        "a generic type's length",
        STACK,
        EQUAL + ORDER + STACKED + "pub fn len(&self) -> Always { Always } }",
        NOT_AS_GIVEN,
    ),
    ("a generic type's length, right", STACK, STACKED + "pub fn len(&self) -> usize { self.items.len() } }", {"pass"}),
    (
        "a method that grows on the way",
        STACK,
        STACKED.replace("self.items.push(item);", "let _ = item;") + "pub fn len(&self) -> usize { 2 } }",
        {"pass"},
    ),
    (
        "usize by an alias in an impl",
        STACK,
        EQUAL
        + ORDER
        + "#[allow(non_camel_case_types)] type usize = Always;\n"
        + STACKED
        + "pub fn len(&self) -> usize { Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "usize by an import",
        STACK,
        "mod m {\n"
        + EQUAL
        + ORDER
        + "}\n#[allow(non_camel_case_types)] use m::Always as usize;\n"
        + STACKED
        + "pub fn len(&self) -> usize { m::Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "a function of the task's module",
        GEO,
        "pub mod geo {\n" + EQUAL + ORDER + "pub fn area(_: i64, _: i64) -> Always { Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "a function of the task's module, right",
        GEO,
        "pub mod geo { pub fn area(w: i64, h: i64) -> i64 { w * h } }",
        {"pass"},
    ),
    ("a truth that is none", IS_EVEN, TRUTH + "pub fn is_even(_: i64) -> Truth { Truth }", NOT_AS_GIVEN),
    (
        "an operator's result",
        SUM,
        EQUAL
        + ORDER
        + "pub struct V(pub i64);\npub struct W(pub Always);\nimpl std::ops::Add for V { type Output = W; fn add(self, _: V) -> W { W(Always) } }",
        NOT_AS_GIVEN,
    ),
    (
        "an operator's result, right",
        SUM,
        "pub struct V(pub i64);\nimpl std::ops::Add for V { type Output = Self; fn add(self, o: Self) -> Self { V(self.0 + o.0) } }",
        {"pass"},
    ),
    (
        "a variant's field by alias",
        GROW,
        EQUAL
        + "#[allow(non_camel_case_types)] type i64 = Always;\n"
        + GROWN.replace("r + 1", "*r").replace("x + 1", "*x"),
        NOT_AS_GIVEN,
    ),
    (
        "equality by hand in a module",
        GROW,
        "mod m { impl PartialEq for super::Shape { fn eq(&self, _: &Self) -> bool { true } } }\n"
        + SHAPE.replace(", PartialEq", "")
        + "pub fn grow(_: &Shape) -> Shape { Shape::Empty }",
        NOT_AS_GIVEN,
    ),
    (
        "shown by hand",
        GROW,
        SHAPE.replace("Debug, ", "")
        + 'impl std::fmt::Debug for Shape { fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { f.write_str("Square(3)") } }\npub fn grow(_: &Shape) -> Shape { Shape::Empty }',
        NOT_AS_GIVEN,
    ),
    (
        "shown by hand, and right",
        GROW,
        GROWN.replace("Debug, ", "")
        + '\nimpl std::fmt::Debug for Shape { fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { f.write_str("shape") } }',
        {"pass"},
    ),
    ("an enum's values, right", GROW, GROWN, {"pass"}),
    ("an enum's values, wrong", GROW, GROWN.replace("r + 1", "r + 2"), FAILS),
    (
        "an array by another length",
        ARRAY,
        EQUAL
        + "impl<T> std::ops::Index<T> for Always { type Output = i64; fn index(&self, _: T) -> &i64 { &1 } }\npub fn firsts<const N: usize>(_: &[i64]) -> Always { Always }",
        NOT_AS_GIVEN,
    ),
    (
        "an array, right",
        ARRAY,
        "pub fn firsts<const N: usize>(x: &[i64]) -> [i64; N] { std::array::from_fn(|i| x[i]) }",
        {"pass"},
    ),
    (
        "an iterator of one's own",
        EVENS,
        "pub struct E; impl E { pub fn all<F>(self, _: F) -> bool { true } pub fn collect<T>(self) -> Vec<u32> { vec![] } }\nimpl Iterator for E { type Item = u32; fn next(&mut self) -> Option<u32> { None } }\npub fn evens(_: u32) -> E { E }",
        NOT_AS_GIVEN,
    ),
    (
        "an iterator, right",
        EVENS,
        "pub fn evens(n: u32) -> impl Iterator<Item = u32> { (0..n).filter(|x| x % 2 == 0) }",
        {"pass"},
    ),
    (
        "an error of one's own",
        PARSED,
        EQUAL
        + "pub struct P(pub i64);\nimpl std::str::FromStr for P { type Err = Always; fn from_str(_: &str) -> Result<Self, Always> { Ok(P(5)) } }",
        NOT_AS_GIVEN,
    ),
    (
        "parsed, right",
        PARSED,
        'pub struct P(pub i64);\nimpl std::str::FromStr for P { type Err = String; fn from_str(s: &str) -> Result<Self, String> { s.parse().map(P).map_err(|_| "no".to_string()) } }',
        {"pass"},
    ),
    ("a pair by another type", SWAP, EQUAL + "pub fn swap<T>(_: T) {}", NOT_AS_GIVEN),
    ("a pair, right", SWAP, "pub fn swap(p: &mut (i64, i64)) { std::mem::swap(&mut p.0, &mut p.1) }", {"pass"}),
    (
        "a trait's own method ahead",
        NAMED,
        NAMED[0].replace("    fn name(&self) -> String {", "").replace("impl Named for Dog {", "")
        + EQUAL
        + "impl Named for Dog { fn name(&self) -> String { String::new() } }\nimpl Dog { pub fn name(&self) -> Always { Always } pub fn loud(&self) -> Always { Always } }",
        NOT_AS_GIVEN,
    ),
    (
        "a trait's default changed",
        NAMED,
        NAMED[0]
        .replace("    fn name(&self) -> String {", "")
        .replace("impl Named for Dog {", "")
        .replace("self.name().to_uppercase()", '"DOG".into()')
        + 'impl Named for Dog { fn name(&self) -> String { "dog".into() } }',
        NOT_AS_GIVEN | {"pass"},
    ),
    (
        "a static of the task's changed",
        TABLE,
        "pub static TABLE: [i64; 3] = [0; 3];\npub fn at(_: usize) -> i64 { 0 }",
        NOT_AS_GIVEN,
    ),
    (
        "a static of the task's, right",
        TABLE,
        "pub static TABLE: [i64; 3] = [1, 2, 3];\npub fn at(i: usize) -> i64 { TABLE[i] }",
        {"pass"},
    ),
    (
        "an operator for another type of a literal",
        PLUS,
        EQUAL
        + ORDER
        + "pub struct V(pub i64);\nimpl std::ops::Add<i64> for V { type Output = V; fn add(self, _: i64) -> V { V(0) } }\npub struct W(pub Always);\nimpl std::ops::Add<i32> for V { type Output = W; fn add(self, _: i32) -> W { W(Always) } }",
        NOT_AS_GIVEN,
    ),
    (
        "an operator for a literal",
        PLUS,
        "pub struct V(pub i64);\nimpl std::ops::Add<i64> for V { type Output = Self; fn add(self, o: i64) -> Self { V(self.0 + o) } }",
        {"pass"},
    ),
]
