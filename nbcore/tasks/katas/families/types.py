"""Kata families over structs and generics. A table: `kata_family.Family` explains its templates."""

from nbcore.tasks.katas.family import Family as F

# fmt: off
TYPES: tuple[F, ...] = (
    F("struct_get", "structs", "m", "int", "$T",
      "$m(self.$D)",
      ("$D $m", "the field $D, $m", "what $D is, $m"),
      head="pub struct $S {\n    pub $D: $T,\n}\n\nimpl $S {\n    pub fn $f(&self) -> $T {", tail="    }\n}",
      call="$S { $D: $0 }.$f()"),
    F("struct_set", "structs", "m", "int", "",
      "self.$D = $m($A);",
      ("Set $D to $m($A)", "Store $A, $m, in $D", "Make $D what $A is, $m"),
      head="pub struct $S {\n    pub $D: $T,\n}\n\nimpl $S {\n    pub fn $f(&mut self, $A: $T) {", tail="    }\n}",
      call="let mut v0 = $S { $D: 0 };\nv0.$f($0); ## v0.$D"),
    F("struct_with", "structs", "m", "int", "Self",
      "self.$D = $m($A);\nself",
      ("the $S with its $D set to $A $m", "this $S, its $D now $A $m", "itself after $D becomes $A $m"),
      head="pub struct $S {\n"
           "    pub $D: $T,\n"
           "}\n"
           "\n"
           "impl $S {\n"
           "    pub fn $f(mut self, $A: $T) -> Self {",
      tail="    }\n}", call="$S { $D: 0 }.$f($0).$D", held_out=True),
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
    F("generic_str", "generics", "s", "str", "String",
      "let s = $A.as_ref();\n$s(s)",
      ("$A $s", "the text of $A $s", "$A as text, $s"), head="pub fn $f<S: AsRef<str>>($A: S) -> String {"),
    F("generic_display", "generics", "s", "int", "String",
      "let s = $A.to_string();\n$s(s)",
      ("the display of $A $s", "$A shown as text $s", "what $A displays as, $s"), types="i64",
      head="pub fn $f<T: std::fmt::Display>($A: T) -> String {", call="let v0: i64 = $0; ## $f(v0)"),
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
