"""Kata families over loops, match, enums and tuples. A table: `kata_family.Family` explains its templates."""

from nbcore.data.kata_family import Family as F

# fmt: off
FLOW: tuple[F, ...] = (
    F("loop_fold", "loops", "m g", "slice", "$g.ret",
      "let mut acc = $g.init;\nfor &x in $A {\n    $g.step($m(x))\n}\nacc",
      ("$g of the items of $A, each $m, by a loop", "in a loop, $g of $A with every item $m",
       "using a for loop, $g of the $A items $m")),
    F("loop_filter_fold", "loops", "p m g", "slice", "$g.ret",
      "let mut acc = $g.init;\n"
      "for &x in $A {\n"
      "    if $p(x) {\n"
      "        $g.step($m(x))\n"
      "    }\n"
      "}\n"
      "acc",
      ("$g of the items of $A that are $p, each $m, by a loop", "in a loop, $g of all $A $p, every one $m",
       "using a for loop, $g of what is $p in $A, each $m")),
    F("loop_break", "loops", "p m g", "slice", "$g.ret",
      "let mut acc = $g.init;\n"
      "for &x in $A {\n"
      "    if $p(x) {\n"
      "        break;\n"
      "    }\n"
      "    $g.step($m(x))\n"
      "}\n"
      "acc",
      ("$g of the items of $A before the first that is $p, each $m",
       "in a loop that stops at what is $p, $g of $A, each $m", "$g of the $A, every one $m, until an item is $p"),
      held_out=True),
    F("loop_continue", "loops", "p m g", "slice", "$g.ret",
      "let mut acc = $g.init;\n"
      "for &x in $A {\n"
      "    if $p(x) {\n"
      "        continue;\n"
      "    }\n"
      "    $g.step($m(x))\n"
      "}\n"
      "acc",
      ("$g of the items of $A, skipping those that are $p, each $m",
       "in a loop that passes over what is $p, $g of $A, each $m",
       "$g of the $A, every one $m, except items that are $p")),
    F("loop_range", "loops", "p g", "count", "$g.ret",
      "let mut acc = $g.init;\n"
      "for x in 1..=$A {\n"
      "    if $p(x) {\n"
      "        $g.step(x)\n"
      "    }\n"
      "}\n"
      "acc",
      ("$g of the numbers up to $A that are $p, by a loop", "in a loop over 1..=$A, $g of what is $p",
       "using a for loop, $g of all of 1 to $A that are $p")),
    F("loop_find", "loops", "p m", "slice", "Option<$T>",
      "for &x in $A {\n    if $p(x) {\n        return Some($m(x));\n    }\n}\nNone",
      ("the first item of $A that is $p, $m, or None", "in a loop, the first $p item of $A, $m",
       "None, or the earliest of $A to be $p, $m")),
    F("loop_halve", "loops", "m g", "count", "$g.ret",
      "let mut acc = $g.init;\n"
      "let mut x = $A;\n"
      "while x > 0 {\n"
      "    $g.step($m(x))\n"
      "    x /= 2;\n"
      "}\n"
      "acc",
      ("$g of $A and its repeated halves above zero, each $m",
       "while halving $A down to zero, $g of the values, each $m",
       "$g of the values of $A, halved until zero, each $m")),
    F("loop_digits", "loops", "p g", "big", "$g.ret",
      "let mut acc = $g.init;\n"
      "let mut x = $A;\n"
      "while x > 0 {\n"
      "    let y = x % 10;\n"
      "    if $p(y) {\n"
      "        $g.step(y)\n"
      "    }\n"
      "    x /= 10;\n"
      "}\n"
      "acc",
      ("$g of the decimal digits of $A that are $p, last digit first",
       "from the last digit of $A, $g of the digits that are $p",
       "$g of what is $p among the digits of $A, from the right")),
    F("loop_pairs", "loops", "b g", "slice slice", "$g.ret",
      "let mut acc = $g.init;\n"
      "for &x in $A {\n"
      "    for &y in $B {\n"
      "        $g.step($b(x, y))\n"
      "    }\n"
      "}\n"
      "acc",
      ("$g of, for every x of $A and every y of $B, $b(x, y)",
       "in nested loops over x in $A and y in $B, $g of $b(x, y)", "$g of all $b(x, y) with x from $A and y from $B"),
      types="i32 u32"),
    F("loop_countdown", "loops", "m", "count", "Vec<$T>",
      "let mut out = Vec::new();\n"
      "let mut x = $A;\n"
      "while x > 0 {\n"
      "    out.push($m(x));\n"
      "    x -= 1;\n"
      "}\n"
      "out",
      ("the numbers from $A down to 1, each $m", "a vector counting down from $A to 1, each number $m",
       "a countdown from $A to 1 with every number $m")),
    F("loop_limit", "loops", "m p", "slice", "Vec<$T>",
      "let mut out = Vec::new();\n"
      "for &x in $A {\n"
      "    let y = $m(x);\n"
      "    if $p(y) {\n"
      "        out.push(y);\n"
      "    }\n"
      "}\n"
      "out",
      ("the items of $A made $m, if then $p, by a loop",
       "in a loop, the items of $A, each $m, keeping what is then $p",
       "a vector pushed from $A: each item $m when that is $p")),
    F("loop_longest_run", "loops", "p", "slice", "usize",
      "let mut best = 0;\n"
      "let mut run = 0;\n"
      "for &x in $A {\n"
      "    run = if $p(x) { run + 1 } else { 0 };\n"
      "    best = run.max(best);\n"
      "}\n"
      "best",
      ("the length of the longest run in $A of items that are $p", "how many neighbours in $A at most are $p in a row",
       "the longest streak of $A in which items are $p")),
    F("match_guards", "match", "p m n", "int", "$T",
      "match $A {\n    0 => $K,\n    x if $p(x) => $m(x),\n    x => $n(x),\n}",
      ("$K for $A of 0, $A $m if it is $p, else $n", "by match: 0 gives $K, what is $p gives $A $m, the rest $n",
       "for $A: $K at 0, it $m when $p, otherwise $n")),
    F("match_range", "match", "m n", "int", "$T",
      "match $A {\n    0 => 1,\n    1..=$K => $m($A),\n    _ => $n($A),\n}",
      ("1 for $A of 0, $A $m for 1..=$K, else $n", "by match: 0 gives 1, 1..=$K give $A $m, the rest $n",
       "for $A: 1 at 0, it $m up to $K, otherwise $n")),
    F("match_bools", "match", "p q m", "int int", "$T",
      "match ($p($A), $q($B)) {\n"
      "    (true, true) => $m($A),\n"
      "    (true, false) => $A,\n"
      "    (false, _) => $B,\n"
      "}",
      ("$A $m if it is $p and $B is $q, $A if only it is, else $B",
       "$B unless $A is $p, then $A, made $m when $B is $q",
       "by match on $A being $p and $B being $q: $A $m, $A, or $B")),
    F("match_order", "match", "m n", "int int", "$T",
      "match $A.cmp(&$B) {\n"
      "    Ordering::Less => $m($A),\n"
      "    Ordering::Equal => $A,\n"
      "    Ordering::Greater => $n($B),\n"
      "}",
      ("$A $m if below $B, $A if equal, else $B $n", "comparing $A with $B: less gives $A $m, equal $A, greater $B $n",
       "$m($A) when under $B, $A when equal, or $B $n"), uses="std::cmp::Ordering"),
    F("enum_two", "match", "m n", "int", "$T",
      "match *self {\n    Self::$G(x) => $m(x),\n    Self::$H(x) => $n(x),\n}",
      ("the value $m for $G, and $n for $H", "for $G its value $m, for $H its value $n", "$G $m or $H $n, by match"),
      head="pub enum $S {\n    $G($T),\n    $H($T),\n}\n\nimpl $S {\n    pub fn $f(&self) -> $T {", tail="    }\n}",
      call="$S::$V($0).$f()"),
    F("enum_unit", "match", "m n", "int", "$T",
      "match self {\n    Self::$G => $m($A),\n    Self::$H => $n($A),\n}",
      ("$A $m for $G and $n for $H", "$A as the mode has it: $G $m, $H $n", "for $G $A $m, for $H $A $n"),
      head="pub enum $S {\n    $G,\n    $H,\n}\n\nimpl $S {\n    pub fn $f(&self, $A: $T) -> $T {", tail="    }\n}",
      call="$S::$V.$f($0)"),
    F("enum_pair", "match", "m b", "int int", "$T",
      "match *self {\n    Self::$G(x) => $m(x),\n    Self::$H(x, y) => $b(x, y),\n}",
      ("the value $m for $G, and for $H $b(x, y)", "for $G its value $m, for $H of x, y $b(x, y)",
       "$G $m or, of $H, $b(x, y)"),
      head="pub enum $S {\n"
           "    $G($T),\n"
           "    $H($T, $T),\n"
           "}\n"
           "\n"
           "impl $S {\n"
           "    pub fn $f(&self) -> $T {",
      tail="    }\n}", call="$S::$W.$f()"),
    F("enum_count", "match", "p", "slice", "usize",
      "$A\n    .iter()\n    .filter(|&s| matches!(*s, $S::$G(x) if $p(x)))\n    .count()",
      ("how many of $A are $G with a value $p", "the number of $G in $A holding what is $p",
       "the count of $A that are $G and $p"),
      head="pub enum $S {\n    $G($T),\n    $H,\n}\n\npub fn $f($A: &[$S]) -> usize {",
      call="let v1: &[$T] = $0;\n"
           "let v0: Vec<$S> = v1.iter().map(|&x| if x == $K { $S::$H } else { $S::$G(x) }).collect(); ## $f(&v0)"),
    F("enum_make", "match", "p m", "int", "$S",
      "if $p($A) {\n    $S::$G($m($A))\n} else {\n    $S::$H\n}",
      ("$G of $A $m if $A is $p, else $H", "a $S: $G with $A $m when it is $p, otherwise $H",
       "$H unless $A is $p, then $G of it $m"),
      head="#[derive(Debug, PartialEq)]\n"
           "pub enum $S {\n"
           "    $G($T),\n"
           "    $H,\n"
           "}\n"
           "\n"
           "pub fn $f($A: $T) -> $S {",
      call="match $f($0) { $S::$G(x) => Some(x), $S::$H => None }"),
    F("match_char", "match", "M", "char", "char",
      "match $A {\n    'a'..='m' => $M($A),\n    '0'..='9' => '#',\n    _ => $A,\n}",
      ("$A $M from 'a' to 'm', '#' for a digit, else unchanged", "$A itself, but '#' for 0-9, and $M in 'a'..='m'",
       "'#' for digits, $A $M for a to m, or else $A")),
    F("tuple_swap", "tuples", "m n", "pair", "($T, $T)",
      "let (x, y) = $A;\n($m(y), $n(x))",
      ("$A swapped: the second $m, the first $n", "a pair of the second of $A $m and the first $n",
       "the second part of $A $m, then the first $n")),
    F("tuple_bin", "tuples", "b p", "pair", "(bool, $T)",
      "let (x, y) = $A;\n($p(x), $b(x, y))",
      ("for x, y in $A, whether x is $p, and $b(x, y)", "with (x, y) = $A, a pair: if x is $p, and $b(x, y)",
       "a flag for x of $A being $p, and for its y too $b(x, y)")),
    F("tuple_pairs", "tuples", "p b r", "pairs", "$r.ret",
      "$A\n    .iter()\n    .filter(|&&(x, _)| $p(x))\n    .map(|&(x, y)| $b(x, y))\n    $r",
      ("$r of, for pairs x, y of $A with x $p, $b(x, y)", "$r of, where x is $p in $A, $b(x, y)",
       "$r of $b(x, y) over the (x, y) of $A where x is $p")),
    F("tuple_split", "tuples", "m n", "int", "($T, $T)",
      "($m($A), $n($A))",
      ("$A $m and $A $n, as a pair", "the pair of $A $m and $A $n", "a tuple: $A $m, and $A $n")),
    F("tuple_stats", "tuples", "x p", "slice", "($x.ret, usize)",
      "let n = $A.iter().filter(|&&x| $p(x)).count();\n($A.iter().copied()$x, n)",
      ("$x of $A, and how many of them are $p", "a pair: $x of the $A, and the number that are $p",
       "$x of $A with the count of what is $p")),
    F("tuple_flag", "tuples", "p m", "int", "($T, bool)",
      "let x = $m($A);\n(x, $p(x))",
      ("$A $m, and whether that is $p", "a pair of $A $m and if it is then $p", "$A $m with a flag for being $p")),
    F("tuple_order", "tuples", "m", "pair", "($T, $T)",
      "let (x, y) = $A;\nif $m(x) <= $m(y) {\n    (x, y)\n} else {\n    (y, x)\n}",
      ("$A ordered by each part $m", "the parts of $A, the one smaller when $m first",
       "$A, swapped unless in order once each is $m")),
)
