"""Kata families over structs and generics. A table: `kata_family.Family` explains its templates."""

from nbcore.data.kata_family import Family as F

# fmt: off
TYPES: tuple[F, ...] = (
    F("struct_get", "structs", "m", "int", "$T",
      "$m(self.$D)",
      ("$D $m", "the field $D, $m", "what $D is, $m"),
      head="pub struct $S {\n    pub $D: $T,\n}\n\nimpl $S {\n    pub fn $f(&self) -> $T {", tail="    }\n}",
      call="$S { $D: $0 }.$f()"),
    F("struct_test", "structs", "p q", "int int", "bool",
      "let x = self.$D;\nlet y = self.$E;\n$p(x) && $q(y)",
      ("whether $D is $p and $E is $q", "true if $D is $p and $E $q", "if both $D is $p and $E is $q"),
      head="pub struct $S {\n"
           "    pub $D: $T,\n"
           "    pub $E: $T,\n"
           "}\n"
           "\n"
           "impl $S {\n"
           "    pub fn $f(&self) -> bool {",
      tail="    }\n}", call="$S { $D: $0, $E: $1 }.$f()"),
    F("struct_set", "structs", "m", "int", "",
      "self.$D = $m($A);",
      ("Set $D to $m($A)", "Store $A, $m, in $D", "Make $D what $A is, $m"),
      head="pub struct $S {\n    pub $D: $T,\n}\n\nimpl $S {\n    pub fn $f(&mut self, $A: $T) {", tail="    }\n}",
      call="let mut v0 = $S { $D: 0 };\nv0.$f($0); ## v0.$D"),
    F("struct_update", "structs", "p m", "int", "",
      "let x = self.$D;\nif $p(x) {\n    self.$D = $m(x);\n}",
      ("Make $D itself $m if it is $p", "Update $D to be $m when it is $p", "Change $D, if $p, to itself $m"),
      head="pub struct $S {\n    pub $D: $T,\n}\n\nimpl $S {\n    pub fn $f(&mut self) {", tail="    }\n}",
      call="let mut v0 = $S { $D: $0 };\nv0.$f(); ## v0.$D"),
    F("struct_new", "structs", "m n", "int", "Self",
      "Self {\n    $D: $m($A),\n    $E: $n($A),\n}",
      ("a $S with $D being $A $m and $E being $A $n", "a new $S: $D is $A $m, $E is $A $n",
       "the $S of $A $m in $D, $n in $E"),
      head="pub struct $S {\n"
           "    pub $D: $T,\n"
           "    pub $E: $T,\n"
           "}\n"
           "\n"
           "impl $S {\n"
           "    pub fn $f($A: $T) -> Self {",
      tail="    }\n}", call="let v0 = $S::$f($0); ## (v0.$D, v0.$E)"),
    F("struct_pair", "structs", "b m", "int int", "$T",
      "let x = self.$D;\nlet y = $m(self.$E);\n$b(x, y)",
      ("for x = $D and y = $E $m, $b(x, y)", "$b(x, y) where x is $D and y is $E $m",
       "with x being $D and y $E $m, $b(x, y)"), wide=True,
      head="pub struct $S {\n"
           "    pub $D: $T,\n"
           "    pub $E: $T,\n"
           "}\n"
           "\n"
           "impl $S {\n"
           "    pub fn $f(&self) -> $T {",
      tail="    }\n}", call="$S { $D: $0, $E: $1 }.$f()"),
    F("struct_with", "structs", "m", "int", "Self",
      "self.$D = $m($A);\nself",
      ("the $S with its $D set to $A $m", "this $S, its $D now $A $m", "itself after $D becomes $A $m"),
      head="pub struct $S {\n"
           "    pub $D: $T,\n"
           "}\n"
           "\n"
           "impl $S {\n"
           "    pub fn $f(mut self, $A: $T) -> Self {",
      tail="    }\n}", call="$S { $D: 0 }.$f($0).$D"),
    F("struct_vec", "structs", "p y", "vec", "$y.ret",
      "self.$D\n    .iter()\n    .copied()\n    .filter(|&x| $p(x))\n    $y",
      ("$y of the items in $D that are $p", "$y of $D, keeping what is $p", "$y of all $p in the field $D"),
      head="pub struct $S {\n"
           "    pub $D: Vec<$T>,\n"
           "}\n"
           "\n"
           "impl $S {\n"
           "    pub fn $f(&self) -> $y.ret {",
      tail="    }\n}", call="$S { $D: $0 }.$f()"),
    F("struct_rows", "structs", "p m r", "pairs", "$r.ret",
      "$A\n    .iter()\n    .filter(|s| $p(s.$D))\n    .map(|s| $m(s.$E))\n    $r",
      ("$r of $E, each $m, in the $A whose $D is $p", "$r of each $E $m where $D is $p in $A",
       "$r of the $A with $D $p, their $E $m"),
      head="pub struct $S {\n"
           "    pub $D: $T,\n"
           "    pub $E: $T,\n"
           "}\n"
           "\n"
           "pub fn $f($A: &[$S]) -> $r.ret {",
      call="let v1: &[($T, $T)] = $0;\n"
           "let v0: Vec<$S> = v1.iter().map(|&(x, y)| $S { $D: x, $E: y }).collect(); ## $f(&v0)",
      held_out=True),
    F("struct_from", "structs", "m", "int", "Self",
      "Self { $D: $m(x) }",
      ("a $S with $D being x $m", "the $S whose $D is x $m", "x as a $S, its $D being x $m"),
      head="pub struct $S {\n"
           "    pub $D: $T,\n"
           "}\n"
           "\n"
           "impl From<$T> for $S {\n"
           "    fn from(x: $T) -> Self {",
      tail="    }\n}", call="$S::from($0).$D"),
    F("struct_tuple", "structs", "m", "int", "$T",
      "let x = self.0;\n$m(x)",
      ("the wrapped value, $m", "what the $S holds, $m", "its inner value $m"),
      head="pub struct $S(pub $T);\n\nimpl $S {\n    pub fn $f(self) -> $T {", tail="    }\n}", call="$S($0).$f()"),
    F("struct_step", "structs", "m n", "int", "$T",
      "let x = self.$D;\nself.$D = $m(x);\n$n(x)",
      ("Make $D itself $m and return the old value $n", "Update $D to be $m, returning what it was, $n",
       "Set $D to itself $m and give the value before, $n"),
      head="pub struct $S {\n    pub $D: $T,\n}\n\nimpl $S {\n    pub fn $f(&mut self) -> $T {", tail="    }\n}",
      call="let mut v0 = $S { $D: $0 };\nlet v1 = v0.$f(); ## (v0.$D, v1)"),
    F("generic_fn", "generics", "m r", "slice", "$r.ret",
      "$A.iter().map(|&x| func($m(x)))$r",
      ("$r of func applied to each item of $A $m", "$r of func of the $A items $m",
       "$r of $A, each $m and then put through func"), types="i64 u64",
      head="pub fn $f<F: Fn($T) -> $T>($A: &[$T], func: F) -> $r.ret {", call="$f($0, |x| x + 2)"),
    F("generic_pred", "generics", "m y", "slice", "$y.ret",
      "$A.iter().map(|&x| $m(x)).filter(|&x| keep(x))$y",
      ("$y of the items of $A, each $m, that pass keep", "$y of what keep accepts once each of $A is $m",
       "$y of $A $m for which keep holds"), head="pub fn $f($A: &[$T], keep: impl Fn($T) -> bool) -> $y.ret {",
      call="$f($0, |x| x > $K)"),
    F("generic_into", "generics", "m p", "int", "Option<i64>",
      "let x: i64 = $A.into();\nif $p(x) {\n    Some($m(x))\n} else {\n    None\n}",
      ("$A as i64, $m, if it is $p", "Some of $A made i64 and $m when $p, else None",
       "None unless $A as i64 is $p, then it $m"), types="i32",
      head="pub fn $f<T: Into<i64>>($A: T) -> Option<i64> {", call="let v0: i32 = $0; ## $f(v0)"),
    F("generic_iter", "generics", "p m l", "slice", "$l.ret",
      "$A\n    .filter(|&x| $p(x))\n    .map(|x| $m(x))\n    $l",
      ("$l of what $A yields that is $p, each $m", "$l of the iterator $A, kept if $p, each $m",
       "$l of all $p from $A, every one $m"), head="pub fn $f<I: Iterator<Item = $T>>($A: I) -> $l.ret {",
      call="let v0: &[$T] = $0; ## $f(v0.iter().copied())"),
    F("generic_str", "generics", "s", "str", "String",
      "let s = $A.as_ref();\n$s(s)",
      ("$A $s", "the text of $A $s", "$A as text, $s"), head="pub fn $f<S: AsRef<str>>($A: S) -> String {"),
    F("generic_display", "generics", "s", "int", "String",
      "let s = $A.to_string();\n$s(s)",
      ("the display of $A $s", "$A shown as text $s", "what $A displays as, $s"), types="i64",
      head="pub fn $f<T: std::fmt::Display>($A: T) -> String {", call="let v0: i64 = $0; ## $f(v0)"),
    F("generic_best", "generics", "e", "gslice", "Option<T>",
      "$A$e.cloned()",
      ("a clone of $e of $A", "$e of $A, cloned", "$e in $A, as a clone"),
      head="pub fn $f<T: Ord + Clone>($A: &[T]) -> Option<T> {"),
    F("generic_above", "generics", "F", "gslice int", "Vec<T>",
      "let mut out: Vec<T> = $A.iter().copied().filter(|&x| x > $B).collect();\nout$F;\nout",
      ("Collect the items of $A above $B, then: $F them", "Gather those of $A larger than $B and: $F the vector",
       "Take what is above $B in $A, then: $F it"), head="pub fn $f<T: Ord + Copy>($A: &[T], $B: T) -> Vec<T> {"),
    F("generic_trait", "generics", "m", "int", "$T",
      "$m(self.$D)",
      ("$D $m, for the trait", "the field $D $m, as the trait asks", "what $D is, $m, by the trait"),
      head="pub trait $Q {\n"
           "    fn $f(&self) -> $T;\n"
           "}\n"
           "\n"
           "pub struct $S {\n"
           "    pub $D: $T,\n"
           "}\n"
           "\n"
           "impl $Q for $S {\n"
           "    fn $f(&self) -> $T {",
      tail="    }\n}", call="$S { $D: $0 }.$f()"),
    F("generic_trait_int", "generics", "m p", "int", "bool",
      "let x = *self;\nlet y = $m(x);\n$p(y)",
      ("whether the value, $m, is $p", "true if self is $p once $m", "if self $m is $p"),
      head="pub trait $Q {\n"
           "    fn $f(&self) -> bool;\n"
           "}\n"
           "\n"
           "impl $Q for $T {\n"
           "    fn $f(&self) -> bool {",
      tail="    }\n}", call="let v0: $T = $0; ## v0.$f()"),
    F("generic_twice", "generics", "m", "int", "$T",
      "let x = func($A);\nlet x = $m(x);\nfunc(x)",
      ("func of $A, $m, put through func again", "what func gives for func($A) $m",
       "func applied, the value $m, func applied again"), types="i64 u64",
      head="pub fn $f(func: impl Fn($T) -> $T, $A: $T) -> $T {", call="$f(|x| x + 3, $0)"),
    F("generic_closure", "generics", "m", "int", "impl Fn($T) -> $T",
      "move |x| {\n    let y = $m(x);\n    y.max($A)\n}",
      ("a closure that gives x $m, but at least $A", "a function of x: the larger of x $m and $A",
       "a closure from x to x $m, floored at $A"), head="pub fn $f($A: $T) -> impl Fn($T) -> $T {",
      call="$f($K)($0)"),
)
