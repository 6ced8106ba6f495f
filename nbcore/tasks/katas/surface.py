"""The surface of a kata, which carries no meaning: names, and the Rust type of each kind of parameter."""

from __future__ import annotations

# No name here may hint at an op, be a Rust keyword or equal a local of a skeleton (those have one letter, or are
# acc, out, best, run, end, old, before, over, func, keep).
_POOLS = {
    "verb": "make take form find pick build check solve apply treat handle gather derive obtain work play trace "
    "scan shape weigh plan turn visit serve tally",
    "noun": "task case part unit step piece block batch entry record note score tile grain leaf stone lamp river "
    "field signal basket garden ticket wagon cargo",
    "type": "Node Frame Panel Gauge Token Badge Crate Depot Motor Relay Sensor Wallet Tower Vessel Anchor Ledger "
    "Meter Button Lantern Marker",
    "field": "level size rank cost width mass depth score rate speed price stock limit points charge weight",
    "variant": "Red Blue North South Left Right Open Closed Plain Fancy Big Small Warm Cold Near Far",
    "slice": "items values numbers input samples entries series readings batch cells scores marks prices",
    "int": "num value number amount given input level total point start limit size step score rank mark",
    "opt": "maybe found choice guess slot pick entry hint offer answer",
    "res": "outcome attempt result trial reply status parsed answer",
    "str": "phrase message input title source label content sentence story headline",
    "key": "letter symbol mark key glyph sign",
    "pair": "pair point couple span edge both",
    "map": "table stock prices scores counts lookup index",
}
POOLS = {kind: tuple(words.split()) for kind, words in _POOLS.items()}

KINDS = {  # kind: (Rust type, the pool its name comes from)
    "slice": ("&[$T]", "slice"),
    "mutvec": ("&mut Vec<$T>", "slice"),
    "mutslice": ("&mut [$T]", "slice"),
    "int": ("$T", "int"),
    "count": ("$T", "int"),  # small and not negative
    "edge": ("$T", "int"),  # anything up to the limits of the type
    "mutint": ("&mut $T", "int"),
    "opt": ("Option<$T>", "opt"),
    "res": ("Result<$T, String>", "res"),
    "restt": ("Result<$T, $T>", "res"),
    "str": ("&str", "str"),
    "numstr": ("&str", "str"),
    "pair": ("($T, $T)", "pair"),
    "map": ("&HashMap<String, $T>", "map"),
    "mutmap": ("&mut BTreeMap<String, $T>", "map"),
    "key": ("&str", "key"),  # a key that such a map may hold
}
