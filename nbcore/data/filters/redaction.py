"""Secrets and e-mail addresses in source text, found by detect-secrets' patterns and some of our own, and replaced."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from functools import cache

from nbcore.core.redact import TOKENS

SECRET, EMAIL = "[redacted]", "redacted@example.com"
MARKS = {"redacted_secret": SECRET, "redacted_email": EMAIL}  # tag -> what stands in the place
_PLUGINS = {  # detector of detect-secrets -> words one of which stands in whatever it detects
    "aws.AWSKeyDetector": ("AKIA", "ASIA", "ABIA", "ACCA", "A3T", "aws", "AWS", "Aws"),
    "azure_storage_key.AzureStorageKeyDetector": ("AccountKey=",),
    "basic_auth.BasicAuthDetector": ("://",),
    "cloudant.CloudantDetector": ("cloudant",),
    "github_token.GitHubTokenDetector": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "gitlab_token.GitLabTokenDetector": ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "GR1348941", "glcbt-",
                                         "glimt-", "glptt-", "glagent-", "gloas-"),
    "jwt.JwtTokenDetector": ("eyJ",),
    "mailchimp.MailchimpDetector": ("-us",),
    "npm.NpmDetector": (":_authToken",),
    "openai.OpenAIDetector": ("T3BlbkFJ",),
    "pypi_token.PypiTokenDetector": ("pypi-",),
    "sendgrid.SendGridDetector": ("SG.",),
    "slack.SlackDetector": ("xox", "XOX", "hooks.slack.com"),
    "softlayer.SoftlayerDetector": ("softlayer",),
    "square_oauth.SquareOAuthDetector": ("sq0csp-",),
    "stripe.StripeDetector": ("k_live_",),
    "twilio.TwilioKeyDetector": ("AC", "SK"),
}  # fmt: skip
# In these patterns a group is the secret, and what stands around it says so.
_WITH_GROUP = {"aws", "basic_auth", "cloudant", "npm", "softlayer"}
_MORE = re.compile(  # npm, crates.io, DigitalOcean, Slack's app tokens, Stripe's test keys, Telegram, Discord
    r"\bnpm_[A-Za-z0-9]{36}\b|\bcio[A-Za-z0-9]{32}\b|\bdo[opr]_v1_[0-9a-f]{64}\b|\bxapp-\d-[A-Za-z0-9-]{20,}"
    r"|\b[rs]k_test_[0-9a-zA-Z]{24,}|\bwhsec_[A-Za-z0-9]{24,}|\b\d{8,10}:[A-Za-z0-9_-]{35}\b"
)
_MORE_HINTS = ("npm_", "cio", "_v1_", "xapp-", "k_test_", "whsec_")
_TELEGRAM = re.compile(r":[A-Za-z0-9_-]{35}\b")
_TOKEN_HINTS = ("hf_", "api_org_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "AKIA", "ASIA", "AIza",
                "ya29.", "sk-", "eyJ")  # fmt: skip
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?!-----BEGIN)[^\"]){0,20000}?"
    r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|\\|[A-Za-z0-9+/=]){40,}"
)
_STRING = re.compile(r'"(?=([^"\\\s]{8,200})")')
_NAMED = re.compile(  # before a string: a name that says what it is, and how it gets the string
    r"""(?:api_?key|access_?key|auth_?key|secret|token|passw(?:or)?d|passphrase|pwd|private_?key|credentials?)\w{0,30}
    ["'\])]{0,2}\s{0,40}
    (?::\s{0,4}(?:Option\s{0,4}<\s{0,4})?(?:&\s{0,4})?(?:'\w+\s{1,4})?(?:str|String|\[u8(?:;[^\]\n]{1,20})?\])>?\s{0,4})?
    (?:=>|[!=]=|=|:|,|\()\s{0,40}
    (?:(?:Some|String::from|Cow::from|Secret::new|SecretString::(?:new|from))\s{0,4}\(\s{0,4}|&\s{0,4}){0,2}
    (?:b?r?\#{0,3})$""",
    re.VERBOSE | re.IGNORECASE,
)
_BEFORE = 160  # characters that _NAMED looks at
_LOCAL, _DOMAIN = r"[\w.+%-]{1,64}", r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}"
_MAYBE_ADDRESS = re.compile(rf"@{_DOMAIN}")
_ADDRESS = re.compile(rf"(?:(?<![\w.+%\\-])|(?<=\\[nrt0])){_LOCAL}@({_DOMAIN})(?![\w@]|:[\w~/])")
_RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost|local)$", re.IGNORECASE)
_FILES = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|ico|toml|json|lock|html|css|js|ts)$", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"(?i)pass(?:word|wd)?\d{0,4}|secret|token|example|sample|changeme|dummy|fake|placeholder|redacted|your|xxx|\*\*\*|hunter2|"
    r"^(?:user|pwd|pw|root|admin|test|foo|bar|1234\d*)$"
)


def redacted(text: str, secrets: bool = True, emails: bool = True) -> tuple[str, tuple[str, ...]]:
    """The text with what was found replaced, and which kinds that was: "redacted_secret", "redacted_email"."""
    kinds = []
    if secrets and (without := _without_secrets(text)) != text:
        text = without
        kinds.append("redacted_secret")
    if emails and _MAYBE_ADDRESS.search(text):
        without = _ADDRESS.sub(lambda match: EMAIL if _is_somebodys(match) else match[0], text)
        if without != text:
            text = without
            kinds.append("redacted_email")
    return text, tuple(kinds)


def _is_somebodys(match: re.Match[str]) -> bool:
    local = match[0].partition("@")[0]
    return not (local == "git" or _RESERVED.search(match[1]) or _FILES.search(match[1]))


def _without_secrets(text: str) -> str:
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(SECRET, text)
    if any(hint in text for hint in _TOKEN_HINTS):
        text = TOKENS.sub(_replaced, text)
    for patterns, hints, replaced in _detectors():
        if any(hint in text for hint in hints):
            for pattern in patterns:
                text = pattern.sub(replaced, text)
    if any(hint in text for hint in _MORE_HINTS) or _TELEGRAM.search(text):
        text = _MORE.sub(_replaced, text)
    parts, at = [], 0
    for string in _STRING.finditer(text):
        if _is_secret(string[1]) and _NAMED.search(text[max(0, string.start() - _BEFORE) : string.start()]):
            parts += [text[at : string.start(1)], SECRET]
            at = string.end(1)
    return "".join(parts) + text[at:]


@cache
def _detectors() -> list[tuple[list[re.Pattern[str]], tuple[str, ...], Callable[[re.Match[str]], str]]]:
    from importlib import import_module

    detectors = []
    for name, hints in _PLUGINS.items():
        module, _, kind = name.partition(".")
        detector = getattr(import_module(f"detect_secrets.plugins.{module}"), kind)
        replaced = _replaced_group if module in _WITH_GROUP else _replaced
        detectors.append((list(detector.denylist), hints, replaced))
    return detectors


def _replaced(match: re.Match[str]) -> str:
    """What stands in the place of a token: itself where it is a name or a placeholder."""
    return match[0] if _templated(match[0]) or not _mixed(match[0]) else SECRET


def _replaced_group(match: re.Match[str]) -> str:
    """The same where the secret is the last group of the match, and what stands around it stays."""
    group = match.lastindex or 0
    secret = match[group]
    if _templated(secret) or _PLACEHOLDER.search(secret):
        return match[0]
    start, end = match.start(group) - match.start(), match.end(group) - match.start()
    return match[0][:start] + SECRET + match[0][end:]


def _is_secret(value: str) -> bool:
    """Whether a string that something secret gets looks like one, and not like a word or a placeholder."""
    return _mixed(value) and not (_PLACEHOLDER.search(value) or _templated(value)) and _entropy(value) >= 3


def _templated(secret: str) -> bool:
    from detect_secrets.filters import heuristic

    return (
        "{" in secret
        or "$" in secret
        or heuristic.is_templated_secret(secret)
        or heuristic.is_sequential_string(secret)
    )


def _mixed(secret: str) -> bool:
    """Whether there are letters and digits in it: names and words have no digits, versions no letters."""
    return re.search(r"\d", secret) is not None and re.search(r"[A-Za-z]", secret) is not None


def _entropy(text: str) -> float:
    """Bits a character, by how often each stands in it."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
