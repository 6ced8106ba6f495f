"""Kata families over strings and chars. A table: `kata_family.Family` explains its templates."""

from nbcore.tasks.katas.family import Family as F

# fmt: off
TEXT: tuple[F, ...] = (
    F("str_two", "strings", "s t", "str", "String",
      "let s = $s($A);\n$t(s)",
      ("$A $s, and then $t", "$A first $s, next $t", "the text $A $s, then $t")),
    F("str_words", "strings", "s", "str", "Vec<String>",
      "$A.split_whitespace().map(|w| $s(w)).collect()",
      ("the words of $A, each $s", "a vector of every word of $A $s", "all words of $A $s")),
    F("str_words_measure", "strings", "z r", "str", "$r.ret",
      "$A.split_whitespace().map(|w| $z(w))$r",
      ("$r of $z of each word of $A", "$r, over the words of $A, of $z", "$r of $z, for every word in $A"),
      types="usize"),
    F("str_first_word", "strings", "s", "str", "Option<String>",
      "$A.split_whitespace().next().map(|w| $s(w))",
      ("the first word of $A, $s", "the word $A starts with, $s", "the leading word in $A, if any, $s")),
    F("str_last_word", "strings", "s", "str", "Option<String>",
      "$A.split_whitespace().next_back().map(|w| $s(w))",
      ("the last word of $A, $s", "the word $A ends with, $s", "the final word in $A, if any, $s")),
    F("str_char_quant", "strings", "U c", "str", "$U.ret",
      "$U($A.chars(), $c(x))",
      ("$U(the chars of $A, $c)", "$U(chars in $A, $c)", "$U(the characters of $A, $c)")),
    F("str_measure", "strings", "z m", "str", "usize",
      "let x = $z($A);\n$m(x)",
      ("$z of $A, $m", "for $A, $z, $m", "what $z of $A is, $m"), types="usize"),
    F("str_measure_test", "strings", "z k", "str", "bool",
      "let x = $z($A);\n$k(x)",
      ("whether $z of $A is $k", "true if $z of $A is $k", "if, for $A, $z is $k"), types="usize"),
)
