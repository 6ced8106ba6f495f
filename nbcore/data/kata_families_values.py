"""Kata families over single values: integers, Option, Result, match, structs, generics, tuples and text.

Longer than one sitting because it is one table; `kata_family.Family` explains the templates.
"""

from nbcore.data.kata_family import Family as F

VALUES: tuple[F, ...] = ()

OP = "option"
VALUES += (
    F("option_map", OP, "m o", "opt", "$o.ret", "$A.map(|x| $m(x))$o", (
        "what $A holds, $m, $o", "the value in $A, $m, $o", "the content of $A $m, $o")),
    F("option_filter", OP, "p m o", "opt", "$o.ret", "$A.filter(|&x| $p(x)).map(|x| $m(x))$o", (
        "what $A holds if $p, $m, $o", "the value in $A, when it is $p, $m, $o", "the content of $A, kept if $p, $m, $o")),
    F("option_if", OP, "p m", "int", "Option<$T>", "if $p($A) {\n    Some($m($A))\n} else {\n    None\n}", (
        "Some of $A $m if $A is $p, else None", "$A $m in an Option, None unless $A is $p",
        "None, or Some of $A $m when it is $p")),
    F("option_zip", OP, "b o", "opt opt", "$o.ret", "$A.zip($B).map(|(x, y)| $b(x, y))$o", (
        "for x in $A and y in $B, $b(x, y), $o", "$b(x, y) if $A holds x and $B holds y, $o",
        "with both x of $A and y of $B, $b(x, y), $o")),
    F("option_match", OP, "p m n", "opt", "$T",
      "match $A {\n    Some(x) if $p(x) => $m(x),\n    Some(x) => $n(x),\n    None => $K,\n}", (
        "the value in $A $m if it is $p, $n if not, and $K for None", "$K for None, else what $A holds: $m when $p, otherwise $n",
        "for $A: the value $m if $p, else $n; or $K")),
    F("option_let_else", OP, "m p", "opt", "bool", "let Some(x) = $A else {\n    return false;\n};\nlet y = $m(x);\n$p(y)", (
        "whether $A holds a value that, $m, is $p", "true if what $A holds is $p once $m",
        "if the value in $A, $m, is $p (false for None)"), held_out=True),
    F("option_question", OP, "m b", "opt opt", "Option<$T>", "let x = $A?;\nlet y = $B?;\nlet x = $m(x);\nSome($b(x, y))", (
        "with x the value of $A $m and y of $B, $b(x, y), or None", "$b(x, y) where x is $A $m and y is $B, None if either is",
        "None unless both hold, else $b(x, y) for x = $A $m and y = $B"), wide=True),
    F("option_if_let", OP, "m n", "opt int", "$T", "if let Some(x) = $A {\n    $m(x)\n} else {\n    $n($B)\n}", (
        "what $A holds, $m, or else $n($B)", "the value in $A $m, or for None $n($B)", "$n($B) when $A is None, else its value $m")),
    F("option_or", OP, "p m", "opt opt", "Option<$T>", "$A.filter(|&x| $p(x)).or($B).map(|x| $m(x))", (
        "$A if its value is $p, else $B, $m", "the value in $A when it is $p, or of $B, then $m",
        "what $A holds if $p, or what $B holds, $m")),
    F("option_is", OP, "p q", "opt opt", "bool", "$A.is_some_and(|x| $p(x)) && $B.is_some_and(|x| $q(x))", (
        "whether $A holds something $p and $B something $q", "true if $A has a value $p and $B one that is $q",
        "if $A contains what is $p, and $B what is $q")),
)

RE = "result"
VALUES += (
    F("result_map", RE, "m n", "restt", "Result<$T, $T>", "$A.map(|x| $m(x)).map_err(|x| $n(x))", (
        "$A with its Ok value $m and its error $n", "the Ok of $A $m, or its Err $n", "$A, $m inside Ok and $n inside Err")),
    F("result_check", RE, "p m", "int", "Result<$T, String>",
      'if $p($A) {\n    Ok($m($A))\n} else {\n    Err(format!("bad {$A}"))\n}', (
        'Ok of $A $m if $A is $p, else Err "bad" with $A', '$A $m in Ok when it is $p, otherwise Err of "bad" and $A',
        'Err "bad" and $A unless it is $p, then Ok of it $m')),
    F("result_err_value", RE, "p m n", "int", "Result<$T, $T>", "if $p($A) {\n    Ok($m($A))\n} else {\n    Err($n($A))\n}", (
        "Ok of $A $m if $A is $p, else Err of it $n", "$A $m in Ok when it is $p, otherwise $n in Err",
        "for $A that is $p Ok of it $m, or Err of it $n")),
    F("result_match", RE, "m n", "restt", "$T", "match $A {\n    Ok(x) => $m(x),\n    Err(y) => $n(y),\n}", (
        "the value of $A $m if Ok, or $n if Err", "what $A holds: Ok $m, Err $n", "for Ok in $A the value $m, for Err $n")),
    F("result_else", RE, "p m", "res", "$T", "$A.ok().filter(|&x| $p(x)).map_or($K, |x| $m(x))", (
        "the Ok value of $A if $p, $m, or $K", "$K unless $A is Ok and $p, then the value $m", "what $A has in Ok, when $p, $m, or $K")),
    F("result_parse", RE, "m", "numstr", "Result<$T, String>",
      '$A\n    .parse::<$T>()\n    .map(|x| $m(x))\n    .map_err(|_| "bad".to_string())', (
        '$A parsed as a number and $m, or Err "bad"', 'the number in $A $m, or the error "bad"',
        'Ok of the number written in $A, $m, or else Err "bad"')),
    F("result_parse_option", RE, "p m", "numstr", "Option<$T>",
      "$A\n    .parse::<$T>()\n    .ok()\n    .filter(|&x| $p(x))\n    .map(|x| $m(x))", (
        "the number in $A if it is $p, $m", "$A parsed, kept when it is $p, then $m", "what $A parses to, if $p, $m")),
    F("result_question", RE, "m", "numstr", "Result<$T, ParseIntError>", "let x: $T = $A.trim().parse()?;\nOk($m(x))", (
        "the number parsed from $A, $m, or the parse error", "$A trimmed, parsed and $m, passing on any error",
        "Ok of the number in trimmed $A, $m, or its error"), uses="std::num::ParseIntError", call="$f($0).ok()"),
    F("result_collect", RE, "p m", "slice", "Result<Vec<$T>, $T>",
      "$A\n    .iter()\n    .map(|&x| if $p(x) { Ok($m(x)) } else { Err(x) })\n    .collect()", (
        "Ok of the items of $A, each $m, or Err of the first not $p", "every item of $A $m if all are $p, else the first bad one",
        "the $A in Ok, each $m, unless one is not $p: Err of it")),
    F("result_all_or", RE, "p x", "slice", "Result<$x.ret, String>",
      'if $A.iter().any(|&x| $p(x)) {\n    return Err("bad".to_string());\n}\nOk($A.iter().copied()$x)', (
        'Err "bad" if any item of $A is $p, else Ok of $x of the items', 'Ok of $x of $A, unless some item is $p: Err "bad"',
        '$x of $A in Ok, or Err "bad" when one item is $p')),
    F("result_parse_list", RE, "m r", "csv", "$r.ret",
      "$A\n    .split(',')\n    .filter_map(|w| w.trim().parse::<$T>().ok())\n    .map(|x| $m(x))\n    $r", (
        "$r of the numbers between commas in $A, each $m", "$r of what parses in the comma list $A, each $m",
        "$r of the comma separated numbers of $A, every one $m")),
    F("result_and_then", RE, "m p", "res", "Result<$T, String>",
      '$A\n    .map(|x| $m(x))\n    .and_then(|x| if $p(x) { Ok(x) } else { Err("bad".to_string()) })', (
        '$A with its value $m, but Err "bad" unless that is $p', 'the Ok of $A $m if then $p, or else Err "bad"',
        '$A, its value $m, checked to be $p or Err "bad"')),
)

IN = "integers"
VALUES += (
    F("int_checked", IN, "a h o", "edge edge", "$o.ret", "$A.checked_$a($B).map(|x| $h(x))$o", (
        "$a($A, $B), $h, $o, with None on overflow", "checked, $a($A, $B), then $h, $o", "unless it overflows, $a($A, $B), $h, $o"),
      types="i32 i64 u8 i8 u32"),
    F("int_checked_k", IN, "a h o", "edge", "$o.ret", "$A.checked_$a($K).map(|x| $h(x))$o", (
        "$a($A, $K), $h, $o, with None on overflow", "checked, $a($A, $K), then $h, $o", "unless it overflows, $a($A, $K), $h, $o"),
      types="i32 i64 u8 i8 u32"),
    F("int_wrapping", IN, "a h", "edge edge", "$T", "let x = $A.wrapping_$a($B);\n$h(x)", (
        "$a($A, $B) with wrapping, $h", "the wrapped value of $a($A, $B), $h", "$a($A, $B), wrapping around, then $h"),
      types="i32 i64 u8 i8 u32"),
    F("int_saturating", IN, "a h", "edge edge", "$T", "let x = $A.saturating_$a($B);\n$h(x)", (
        "$a($A, $B), saturating, $h", "the saturated value of $a($A, $B), $h", "$a($A, $B), stopping at the limits, then $h"),
      types="i32 i64 u8 i8 u32"),
    F("int_overflowing", IN, "a h", "edge edge", "($T, bool)", "let (x, over) = $A.overflowing_$a($B);\n($h(x), over)", (
        "$a($A, $B) wrapped, $h, and whether it overflowed", "a pair: $a($A, $B), wrapping, $h; and if it overflowed",
        "$a($A, $B), $h, with a flag for overflow"), types="i32 i64 u8 i8 u32", held_out=True),
    F("int_if", IN, "p m n", "int", "$T", "if $p($A) {\n    $m($A)\n} else {\n    $n($A)\n}", (
        "$A $m if it is $p, else $n", "$A $m when $p, otherwise $n", "for $A that is $p it $m, or it $n")),
    F("int_apply", IN, "m n", "int", "$T", "let x = $m($A);\n$n(x)", (
        "$A $m, then $n", "$A first $m and next $n", "what $A is after being $m and then $n"), wide=True),
    F("int_test", IN, "m p", "int", "bool", "let x = $m($A);\n$p(x)", (
        "whether $A, $m, is $p", "true if $A is $p once $m", "if $A $m is $p")),
    F("int_both", IN, "p q", "int int", "bool", "$p($A) && $q($B)", (
        "whether $A is $p and $B is $q", "true if $A is $p and also $B $q", "if $A is $p, and $B $q too")),
    F("int_two", IN, "m b", "int int", "$T", "let x = $m($A);\nlet y = $B;\n$b(x, y)", (
        "for x = $A $m and y = $B, $b(x, y)", "$b(x, y) where x is $A $m and y is $B", "with x being $A $m and y $B, $b(x, y)"),
      wide=True),
    F("int_sat_fold", IN, "a m", "slice", "$T", "$A.iter().fold($K, |x: $T, &y| x.saturating_$a($m(y)))", (
        "x from $K, where each y of $A makes x saturating $a(x, y $m)", "the saturating fold from $K over y in $A of $a(x, y $m)",
        "$A folded from x = $K by saturating $a(x, y $m)")),
)

MT = "match"
VALUES += (
    F("match_guards", MT, "p m n", "int", "$T", "match $A {\n    0 => $K,\n    x if $p(x) => $m(x),\n    x => $n(x),\n}", (
        "$K for $A of 0, $A $m if it is $p, else $n", "by match: 0 gives $K, what is $p gives $A $m, the rest $n",
        "for $A: $K at 0, it $m when $p, otherwise $n")),
    F("match_range", MT, "m n", "int", "$T", "match $A {\n    0 => 1,\n    1..=$K => $m($A),\n    _ => $n($A),\n}", (
        "1 for $A of 0, $A $m for 1..=$K, else $n", "by match: 0 gives 1, 1..=$K give $A $m, the rest $n",
        "for $A: 1 at 0, it $m up to $K, otherwise $n")),
    F("match_bools", MT, "p q m", "int int", "$T",
      "match ($p($A), $q($B)) {\n    (true, true) => $m($A),\n    (true, false) => $A,\n    (false, _) => $B,\n}", (
        "$A $m if it is $p and $B is $q, $A if only it is, else $B", "$B unless $A is $p, then $A, made $m when $B is $q",
        "by match on $A being $p and $B being $q: $A $m, $A, or $B")),
    F("match_order", MT, "m n", "int int", "$T",
      "match $A.cmp(&$B) {\n    Ordering::Less => $m($A),\n    Ordering::Equal => $A,\n    Ordering::Greater => $n($B),\n}", (
        "$A $m if below $B, $A if equal, else $B $n", "comparing $A with $B: less gives $A $m, equal $A, greater $B $n",
        "$m($A) when under $B, $A when equal, or $B $n"), uses="std::cmp::Ordering"),
    F("enum_two", MT, "m n", "int", "$T", "match *self {\n    Self::$G(x) => $m(x),\n    Self::$H(x) => $n(x),\n}", (
        "the value $m for $G, and $n for $H", "for $G its value $m, for $H its value $n", "$G $m or $H $n, by match"),
      head="pub enum $S {\n    $G($T),\n    $H($T),\n}\n\nimpl $S {\n    pub fn $f(&self) -> $T {", tail="    }\n}",
      call="$S::$V($0).$f()"),
    F("enum_unit", MT, "m n", "int", "$T", "match self {\n    Self::$G => $m($A),\n    Self::$H => $n($A),\n}", (
        "$A $m for $G and $n for $H", "$A as the mode has it: $G $m, $H $n", "for $G $A $m, for $H $A $n"),
      head="pub enum $S {\n    $G,\n    $H,\n}\n\nimpl $S {\n    pub fn $f(&self, $A: $T) -> $T {", tail="    }\n}",
      call="$S::$V.$f($0)"),
    F("enum_pair", MT, "m b", "int int", "$T", "match *self {\n    Self::$G(x) => $m(x),\n    Self::$H(x, y) => $b(x, y),\n}", (
        "the value $m for $G, and for $H $b(x, y)", "for $G its value $m, for $H of x, y $b(x, y)", "$G $m or, of $H, $b(x, y)"),
      head="pub enum $S {\n    $G($T),\n    $H($T, $T),\n}\n\nimpl $S {\n    pub fn $f(&self) -> $T {", tail="    }\n}",
      call="$S::$W.$f()"),
    F("enum_count", MT, "p", "slice", "usize", "$A\n    .iter()\n    .filter(|&s| matches!(*s, $S::$G(x) if $p(x)))\n    .count()", (
        "how many of $A are $G with a value $p", "the number of $G in $A holding what is $p", "the count of $A that are $G and $p"),
      head="pub enum $S {\n    $G($T),\n    $H,\n}\n\npub fn $f($A: &[$S]) -> usize {",
      call="let v1: &[$T] = $0;\n"
      "let v0: Vec<$S> = v1.iter().map(|&x| if x == $K { $S::$H } else { $S::$G(x) }).collect(); ## $f(&v0)"),
    F("enum_make", MT, "p m", "int", "$S", "if $p($A) {\n    $S::$G($m($A))\n} else {\n    $S::$H\n}", (
        "$G of $A $m if $A is $p, else $H", "a $S: $G with $A $m when it is $p, otherwise $H", "$H unless $A is $p, then $G of it $m"),
      head="#[derive(Debug, PartialEq)]\npub enum $S {\n    $G($T),\n    $H,\n}\n\npub fn $f($A: $T) -> $S {",
      call="match $f($0) { $S::$G(x) => Some(x), $S::$H => None }"),
    F("match_char", MT, "M", "char", "char",
      "match $A {\n    'a'..='m' => $M($A),\n    '0'..='9' => '#',\n    _ => $A,\n}", (
        "$A $M from 'a' to 'm', '#' for a digit, else unchanged", "$A itself, but '#' for 0-9, and $M in 'a'..='m'",
        "'#' for digits, $A $M for a to m, or else $A")),
)

ST = "structs"
ONE = "pub struct $S {\n    pub $D: $T,\n}\n\nimpl $S {\n    pub fn $f"
TWO = "pub struct $S {\n    pub $D: $T,\n    pub $E: $T,\n}\n\nimpl $S {\n    pub fn $f"
VALUES += (
    F("struct_get", ST, "m", "int", "$T", "$m(self.$D)", (
        "$D $m", "the field $D, $m", "what $D is, $m"), head=ONE + "(&self) -> $T {", tail="    }\n}", call="$S { $D: $0 }.$f()"),
    F("struct_test", ST, "p q", "int int", "bool", "let x = self.$D;\nlet y = self.$E;\n$p(x) && $q(y)", (
        "whether $D is $p and $E is $q", "true if $D is $p and $E $q", "if both $D is $p and $E is $q"),
      head=TWO + "(&self) -> bool {", tail="    }\n}", call="$S { $D: $0, $E: $1 }.$f()"),
    F("struct_set", ST, "m", "int", "", "self.$D = $m($A);", (
        "Set $D to $m($A)", "Store $A, $m, in $D", "Make $D what $A is, $m"), head=ONE + "(&mut self, $A: $T) {", tail="    }\n}",
      call="let mut v0 = $S { $D: 0 };\nv0.$f($0); ## v0.$D"),
    F("struct_update", ST, "p m", "int", "", "let x = self.$D;\nif $p(x) {\n    self.$D = $m(x);\n}", (
        "Make $D itself $m if it is $p", "Update $D to be $m when it is $p", "Change $D, if $p, to itself $m"),
      head=ONE + "(&mut self) {", tail="    }\n}", call="let mut v0 = $S { $D: $0 };\nv0.$f(); ## v0.$D"),
    F("struct_new", ST, "m n", "int", "Self", "Self {\n    $D: $m($A),\n    $E: $n($A),\n}", (
        "a $S with $D being $A $m and $E being $A $n", "a new $S: $D is $A $m, $E is $A $n", "the $S of $A $m in $D, $n in $E"),
      head=TWO + "($A: $T) -> Self {", tail="    }\n}", call="let v0 = $S::$f($0); ## (v0.$D, v0.$E)"),
    F("struct_pair", ST, "b m", "int int", "$T", "let x = self.$D;\nlet y = $m(self.$E);\n$b(x, y)", (
        "for x = $D and y = $E $m, $b(x, y)", "$b(x, y) where x is $D and y is $E $m", "with x being $D and y $E $m, $b(x, y)"),
      head=TWO + "(&self) -> $T {", tail="    }\n}", call="$S { $D: $0, $E: $1 }.$f()", wide=True),
    F("struct_with", ST, "m", "int", "Self", "self.$D = $m($A);\nself", (
        "the $S with its $D set to $A $m", "this $S, its $D now $A $m", "itself after $D becomes $A $m"),
      head=ONE + "(mut self, $A: $T) -> Self {", tail="    }\n}", call="$S { $D: 0 }.$f($0).$D"),
    F("struct_vec", ST, "p y", "vec", "$y.ret",
      "self.$D\n    .iter()\n    .copied()\n    .filter(|&x| $p(x))\n    $y", (
        "$y of the items in $D that are $p", "$y of $D, keeping what is $p", "$y of all $p in the field $D"),
      head="pub struct $S {\n    pub $D: Vec<$T>,\n}\n\nimpl $S {\n    pub fn $f(&self) -> $y.ret {", tail="    }\n}",
      call="$S { $D: $0 }.$f()"),
    F("struct_rows", ST, "p m r", "pairs", "$r.ret",
      "$A\n    .iter()\n    .filter(|s| $p(s.$D))\n    .map(|s| $m(s.$E))\n    $r", (
        "$r of $E, each $m, in the $A whose $D is $p", "$r of each $E $m where $D is $p in $A",
        "$r of the $A with $D $p, their $E $m"),
      head="pub struct $S {\n    pub $D: $T,\n    pub $E: $T,\n}\n\npub fn $f($A: &[$S]) -> $r.ret {",
      call="let v1: &[($T, $T)] = $0;\n"
      "let v0: Vec<$S> = v1.iter().map(|&(x, y)| $S { $D: x, $E: y }).collect(); ## $f(&v0)", held_out=True),
    F("struct_from", ST, "m", "int", "Self", "Self { $D: $m(x) }", (
        "a $S with $D being x $m", "the $S whose $D is x $m", "x as a $S, its $D being x $m"),
      head="pub struct $S {\n    pub $D: $T,\n}\n\nimpl From<$T> for $S {\n    fn from(x: $T) -> Self {", tail="    }\n}",
      call="$S::from($0).$D"),
    F("struct_tuple", ST, "m", "int", "$T", "let x = self.0;\n$m(x)", (
        "the wrapped value, $m", "what the $S holds, $m", "its inner value $m"),
      head="pub struct $S(pub $T);\n\nimpl $S {\n    pub fn $f(self) -> $T {", tail="    }\n}", call="$S($0).$f()"),
    F("struct_step", ST, "m n", "int", "$T", "let x = self.$D;\nself.$D = $m(x);\n$n(x)", (
        "Make $D itself $m and return the old value $n", "Update $D to be $m, returning what it was, $n",
        "Set $D to itself $m and give the value before, $n"),
      head=ONE + "(&mut self) -> $T {", tail="    }\n}", call="let mut v0 = $S { $D: $0 };\nlet v1 = v0.$f(); ## (v0.$D, v1)"),
)

GE = "generics"
VALUES += (
    F("generic_fn", GE, "m r", "slice", "$r.ret", "$A.iter().map(|&x| func($m(x)))$r", (
        "$r of func applied to each item of $A $m", "$r of func of the $A items $m", "$r of $A, each $m and then put through func"),
      head="pub fn $f<F: Fn($T) -> $T>($A: &[$T], func: F) -> $r.ret {", call="$f($0, |x| x + 2)", types="i64 u64"),
    F("generic_pred", GE, "m y", "slice", "$y.ret", "$A.iter().map(|&x| $m(x)).filter(|&x| keep(x))$y", (
        "$y of the items of $A, each $m, that pass keep", "$y of what keep accepts once each of $A is $m",
        "$y of $A $m for which keep holds"),
      head="pub fn $f($A: &[$T], keep: impl Fn($T) -> bool) -> $y.ret {", call="$f($0, |x| x > $K)"),
    F("generic_into", GE, "m p", "int", "Option<i64>", "let x: i64 = $A.into();\nif $p(x) {\n    Some($m(x))\n} else {\n    None\n}", (
        "$A as i64, $m, if it is $p", "Some of $A made i64 and $m when $p, else None", "None unless $A as i64 is $p, then it $m"),
      head="pub fn $f<T: Into<i64>>($A: T) -> Option<i64> {", call="let v0: i32 = $0; ## $f(v0)", types="i32"),
    F("generic_iter", GE, "p m l", "slice", "$l.ret",
      "$A\n    .filter(|&x| $p(x))\n    .map(|x| $m(x))\n    $l", (
        "$l of what $A yields that is $p, each $m", "$l of the iterator $A, kept if $p, each $m", "$l of all $p from $A, every one $m"),
      head="pub fn $f<I: Iterator<Item = $T>>($A: I) -> $l.ret {", call="let v0: &[$T] = $0; ## $f(v0.iter().copied())"),
    F("generic_str", GE, "s", "str", "String", "let s = $A.as_ref();\n$s(s)", (
        "$A $s", "the text of $A $s", "$A as text, $s"),
      head="pub fn $f<S: AsRef<str>>($A: S) -> String {"),
    F("generic_display", GE, "s", "int", "String", "let s = $A.to_string();\n$s(s)", (
        "the display of $A $s", "$A shown as text $s", "what $A displays as, $s"),
      head="pub fn $f<T: std::fmt::Display>($A: T) -> String {", call="let v0: i64 = $0; ## $f(v0)", types="i64"),
    F("generic_best", GE, "e", "gslice", "Option<T>", "$A$e.cloned()", (
        "a clone of $e of $A", "$e of $A, cloned", "$e in $A, as a clone"), head="pub fn $f<T: Ord + Clone>($A: &[T]) -> Option<T> {"),
    F("generic_above", GE, "F", "gslice int", "Vec<T>",
      "let mut out: Vec<T> = $A.iter().copied().filter(|&x| x > $B).collect();\nout$F;\nout", (
        "Collect the items of $A above $B, then: $F them", "Gather those of $A larger than $B and: $F the vector",
        "Take what is above $B in $A, then: $F it"),
      head="pub fn $f<T: Ord + Copy>($A: &[T], $B: T) -> Vec<T> {"),
    F("generic_trait", GE, "m", "int", "$T", "$m(self.$D)", (
        "$D $m, for the trait", "the field $D $m, as the trait asks", "what $D is, $m, by the trait"),
      head="pub trait $Q {\n    fn $f(&self) -> $T;\n}\n\npub struct $S {\n    pub $D: $T,\n}\n\nimpl $Q for $S {\n"
      "    fn $f(&self) -> $T {", tail="    }\n}", call="$S { $D: $0 }.$f()"),
    F("generic_trait_int", GE, "m p", "int", "bool", "let x = *self;\nlet y = $m(x);\n$p(y)", (
        "whether the value, $m, is $p", "true if self is $p once $m", "if self $m is $p"),
      head="pub trait $Q {\n    fn $f(&self) -> bool;\n}\n\nimpl $Q for $T {\n    fn $f(&self) -> bool {", tail="    }\n}",
      call="let v0: $T = $0; ## v0.$f()"),
    F("generic_twice", GE, "m", "int", "$T", "let x = func($A);\nlet x = $m(x);\nfunc(x)", (
        "func of $A, $m, put through func again", "what func gives for func($A) $m", "func applied, the value $m, func applied again"),
      head="pub fn $f(func: impl Fn($T) -> $T, $A: $T) -> $T {", call="$f(|x| x + 3, $0)", types="i64 u64"),
    F("generic_closure", GE, "m", "int", "impl Fn($T) -> $T", "move |x| {\n    let y = $m(x);\n    y.max($A)\n}", (
        "a closure that gives x $m, but at least $A", "a function of x: the larger of x $m and $A", "a closure from x to x $m, floored at $A"),
      head="pub fn $f($A: $T) -> impl Fn($T) -> $T {", call="$f($K)($0)"),
)

TU = "tuples"
VALUES += (
    F("tuple_swap", TU, "m n", "pair", "($T, $T)", "let (x, y) = $A;\n($m(y), $n(x))", (
        "$A swapped: the second $m, the first $n", "a pair of the second of $A $m and the first $n",
        "the second part of $A $m, then the first $n")),
    F("tuple_bin", TU, "b p", "pair", "(bool, $T)", "let (x, y) = $A;\n($p(x), $b(x, y))", (
        "for x, y in $A, whether x is $p, and $b(x, y)", "with (x, y) = $A, a pair: if x is $p, and $b(x, y)",
        "a flag for x of $A being $p, and for its y too $b(x, y)")),
    F("tuple_pairs", TU, "p b r", "pairs", "$r.ret",
      "$A\n    .iter()\n    .filter(|&&(x, _)| $p(x))\n    .map(|&(x, y)| $b(x, y))\n    $r", (
        "$r of, for pairs x, y of $A with x $p, $b(x, y)", "$r of, where x is $p in $A, $b(x, y)",
        "$r of $b(x, y) over the (x, y) of $A where x is $p")),
    F("tuple_split", TU, "m n", "int", "($T, $T)", "($m($A), $n($A))", (
        "$A $m and $A $n, as a pair", "the pair of $A $m and $A $n", "a tuple: $A $m, and $A $n")),
    F("tuple_stats", TU, "x p", "slice", "($x.ret, usize)",
      "let n = $A.iter().filter(|&&x| $p(x)).count();\n($A.iter().copied()$x, n)", (
        "$x of $A, and how many of them are $p", "a pair: $x of the $A, and the number that are $p",
        "$x of $A with the count of what is $p")),
    F("tuple_flag", TU, "p m", "int", "($T, bool)", "let x = $m($A);\n(x, $p(x))", (
        "$A $m, and whether that is $p", "a pair of $A $m and if it is then $p", "$A $m with a flag for being $p")),
    F("tuple_order", TU, "m", "pair", "($T, $T)", "let (x, y) = $A;\nif $m(x) <= $m(y) {\n    (x, y)\n} else {\n    (y, x)\n}", (
        "$A ordered by each part $m", "the parts of $A, the one smaller when $m first", "$A, swapped unless in order once each is $m")),
)

SR = "strings"
VALUES += (
    F("str_two", SR, "s t", "str", "String", "let s = $s($A);\n$t(s)", (
        "$A $s, and then $t", "$A first $s, next $t", "the text $A $s, then $t")),
    F("str_if", SR, "w s t", "str", "String", "if $w($A) {\n    $s($A)\n} else {\n    $t($A)\n}", (
        "$A $s if it is $w, else $t", "$A $s when $w, otherwise $t", "for $A that is $w it $s, or it $t")),
    F("str_words", SR, "s", "str", "Vec<String>", "$A.split_whitespace().map(|w| $s(w)).collect()", (
        "the words of $A, each $s", "a vector of every word of $A $s", "all words of $A $s")),
    F("str_words_filter", SR, "w s", "str", "Vec<String>",
      "$A\n    .split_whitespace()\n    .filter(|w| $w(w))\n    .map(|w| $s(w))\n    .collect()", (
        "the words of $A that are $w, each $s", "a vector of the words $w in $A, each $s", "all words of $A $w, every one $s")),
    F("str_words_join", SR, "s", "str", "String",
      '$A\n    .split_whitespace()\n    .map(|w| $s(w))\n    .collect::<Vec<_>>()\n    .join("-")', (
        'the words of $A, each $s, joined by "-"', 'one text of every word of $A $s with "-" between', 'all words of $A $s, linked by "-"')),
    F("str_words_measure", SR, "z r", "str", "$r.ret", "$A.split_whitespace().map(|w| $z(w))$r", (
        "$r of $z of each word of $A", "$r, over the words of $A, of $z", "$r of $z, for every word in $A"), types="usize"),
    F("str_comma", SR, "w s", "str", "Vec<String>",
      "$A\n    .split(' ')\n    .map(|w| w.trim_matches(','))\n    .filter(|w| $w(w))\n    .map(|w| $s(w))\n    .collect()", (
        "the space separated parts of $A less commas, if $w, each $s", "parts of $A between spaces, no outer commas, those $w, $s",
        "each piece of $A, split by ' ' and free of commas, that is $w, $s"), held_out=True),
    F("str_first_word", SR, "s", "str", "Option<String>", "$A.split_whitespace().next().map(|w| $s(w))", (
        "the first word of $A, $s", "the word $A starts with, $s", "the leading word in $A, if any, $s")),
    F("str_last_word", SR, "s", "str", "Option<String>", "$A.split_whitespace().next_back().map(|w| $s(w))", (
        "the last word of $A, $s", "the word $A ends with, $s", "the final word in $A, if any, $s")),
    F("str_list", SR, "w s", "words", "Vec<String>", "$A.iter().filter(|w| $w(w)).map(|w| $s(w)).collect()", (
        "those of $A that are $w, each $s", "a vector of the $A $w, each $s", "all $A that are $w, every one $s")),
    F("str_list_owned", SR, "w s", "strings", "Vec<String>",
      "$A\n    .into_iter()\n    .filter(|w| $w(w))\n    .map(|w| $s(w))\n    .collect()", (
        "the owned $A that are $w, each $s", "a vector of $A, consumed, keeping those $w, each $s", "the vector $A where $w, every one $s")),
    F("str_list_measure", SR, "w z r", "words", "$r.ret", "$A\n    .iter()\n    .filter(|w| $w(w))\n    .map(|w| $z(w))\n    $r", (
        "$r of $z, over those of $A that are $w", "$r of $z of each of $A $w", "$r, for the $A $w, of $z"), types="usize"),
    F("str_sort", SR, "z", "words", "Vec<String>",
      "let mut out: Vec<String> = $A.iter().map(|w| w.to_string()).collect();\nout.sort_by_key(|w| $z(w));\nout", (
        "$A sorted by $z", "the $A as Strings in order of $z", "a vector of $A ordered by $z")),
    F("str_option", SR, "w s", "optstr", "Option<String>", "$A.filter(|w| $w(w)).map(|w| $s(w))", (
        "what $A holds if $w, $s", "the text in $A, when it is $w, $s", "the content of $A, kept if $w, $s")),
    F("str_chars", SR, "c d", "str", "String", "$A\n    .chars()\n    .filter(|&x| $c(x))\n    .map(|x| $d(x))\n    .collect()", (
        "the chars of $A that are $c, each $d", "a String of the chars in $A that are $c, $d", "what is $c in $A, every char $d")),
    F("str_char_quant", SR, "u c", "str", "$u.ret", "$u($A.chars(), $c(x))", (
        "$u(the chars of $A, $c)", "$u(chars in $A, $c)", "$u(the characters of $A, $c)")),
    F("str_push_loop", SR, "c d", "str", "String",
      "let mut out = String::new();\nfor x in $A.chars() {\n    if $c(x) {\n        continue;\n    }\n    out.push($d(x));\n}\nout", (
        "a loop over the chars of $A, skipping what is $c, each $d", "in a loop, the chars of $A that are not $c, each $d",
        "the String pushed from the chars of $A, except $c, $d")),
    F("str_measure", SR, "z m", "str", "usize", "let x = $z($A);\n$m(x)", (
        "$z of $A, $m", "for $A, $z, $m", "what $z of $A is, $m"), types="usize"),
    F("str_measure_test", SR, "z k", "str", "bool", "let x = $z($A);\n$k(x)", (
        "whether $z of $A is $k", "true if $z of $A is $k", "if, for $A, $z is $k"), types="usize"),
    F("str_digits", SR, "m r", "str", "$r.ret", "$A\n    .chars()\n    .filter_map(|c| c.to_digit(10))\n    .map(|x| $m(x))\n    $r", (
        "$r of the digits in $A, each $m", "$r of what is a digit in $A, each $m", "$r of all digits of $A, every one $m"), types="u32"),
    F("str_format", SR, "s t", "str str", "String", 'let a = $s($A);\nlet b = $t($B);\nformat!("{a}-{b}")', (
        '$A $s, a "-", and $B $t', 'the text $A $s joined by "-" to $B $t', '$A $s and $B $t with "-" between')),
    F("char_if", SR, "c d", "char", "char", "if $c($A) {\n    $d($A)\n} else {\n    '_'\n}", (
        "$A $d if it is among $c, else '_'", "$A $d when $c, otherwise '_'", "'_' unless $A is $c, then it $d")),
    F("str_take_chars", SR, "c", "str", "String", "$A.chars().take_while(|&x| $c(x)).collect()", (
        "the leading chars of $A that are $c", "$A up to the first char not $c", "the start of $A as far as chars are $c")),
    F("str_split_on", SR, "c s", "str", "Vec<String>", "$A.split(|x: char| $c(x)).map(|w| $s(w)).collect()", (
        "the parts of $A between chars that are $c, each $s", "$A split at each of $c, every part $s", "parts of $A, split where chars are $c, $s")),
)
