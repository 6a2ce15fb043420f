"""The forms of common secrets: each with its kind, its pattern, and what tells it from others.

A pattern's group `value` is the secret, where it is not the whole match.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[re.Match[str]], bool]

# whom a home or a login says nothing about
PUBLIC_NAMES = frozenset(
    (
        *("root", "user", "username", "users", "you", "me", "name", "jovyan", "runner", "ubuntu"),
        *("admin", "guest", "public", "shared", "default", "someone", "student", "vscode"),
        *("codespace", "docker", "node", "app"),
    )
)
PLACEHOLDER = re.compile(
    r"(?i)[<{$%*.…•].*|x{3,}|your.*|my[_-].*|example.*|change_?me|none|null|true|false|empty|dummy"
    r"|redacted|str|string|os\.environ.*|getenv.*|getpass.*|input\(.*|not[_-].*"
)
MIN_KINDS_OF_LETTERS, LONG_RUN = 4, 16


def _value(match: re.Match[str]) -> str:
    return match["value"] if "value" in match.re.groupindex else match[0]


def is_varied(match: re.Match[str]) -> bool:
    """False for `hf_xxxxxxxx` and the like."""
    value = _value(match)
    return len(set(value[-12:])) >= MIN_KINDS_OF_LETTERS and "your" not in value.lower()


def is_random(match: re.Match[str]) -> bool:
    """True for letters and digits in a long run: `sk-parallel-item` is a class of scikit-learn."""
    runs = re.findall(r"[A-Za-z0-9]+", _value(match))
    return is_varied(match) and any(
        len(run) >= LONG_RUN and not run.isalpha() and not run.isdigit() for run in runs
    )


def has_digit(match: re.Match[str]) -> bool:
    """True for a varied value with a letter and a digit, and no placeholder."""
    value = _value(match)
    has_both = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return has_both and is_filled(match) and is_varied(match) and "<|" not in value


def is_filled(match: re.Match[str]) -> bool:
    """False for placeholders: `<password>`, `${PASSWORD}`, `***`, `your-password`."""
    return not PLACEHOLDER.fullmatch(_value(match))


def is_basic(match: re.Match[str]) -> bool:
    """True where what follows `Basic` is NAME:PASSWORD in base64."""
    text = _value(match)
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return ":" in plain and plain.isprintable()


def is_somebody(match: re.Match[str]) -> bool:
    """True for a login that is a person's."""
    return _value(match).casefold() not in PUBLIC_NAMES and is_filled(match)


def _named(words: str, size: int) -> str:
    """`NAME = 'value'`, `"NAME": "value"`, where the name ends in one of `words`."""
    return (
        rf"(?i)(?<![^\W_]){'(?:[a-z][a-z0-9]*[_.-]){0,6}'}(?:{words})\\?['\"]?\s*(?:=>|[=:])\s*"
        rf"(?P<quote>\\?['\"])(?P<value>[^'\"\s\\]{{{size},300}})(?P=quote)"
    )


PASSWORDS = r"pass(?:word|wd|phrase|code)?|pwd|пароль"
KEYS = (
    r"secret(?:[_-]?key)?|client[_-]?secret|api[_-]?(?:key|token|secret)|access[_-]?key(?:[_-]?id)?"
    r"|private[_-]?key|signing[_-]?key|x-api-key|apikey|секрет|ключ"
)
TOKENS = r"(?:auth|access|refresh|api|bot|id|session|bearer)?[_-]?token|токен"
LINE = (  # of a .env file, %env or export
    r"(?m)^[ \t]*+(?:[!%$]?[ \t]*+(?:export|env|set_env|set)[ \t]++)?"
    r"[A-Z][A-Z0-9_]*?(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_?KEY|SECRET_?KEY)"
    r"(?:\s*=\s*|[ \t]+)(?P<value>[^\s'\"#]{6,300})[ \t]*$"
)
FLAG = (
    r"--(?:password|passwd|token|api[-_]key|secret|access[-_]token)[ =](?P<value>[^\s'\"]{6,300})"
)
ADDRESS = r"[\w.+-]{1,100}(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
# each pattern takes a time that grows with the text, whatever it is: what repeats has a bound, or a
# beginning that cannot lie within it
SCHEME = r"(?<![a-z0-9+.])[a-z][a-z0-9+.]{0,20}"
EMAIL_IN_URL = (
    rf"(?:\bmailto:|{SCHEME}://(?!git@)|{SCHEME}://[^\s'\"<>]{{1,300}}?[?&=;])"
    rf"(?P<value>{ADDRESS})"
)
HOME = (
    r"(?:(?<![\w.-])/(?:home|Users)/|\b[A-Za-z]:(?:\\{1,2}|/)Users(?:\\{1,2}|/))"
    r"(?P<value>[\w.-]+)"
)
FORMS: tuple[tuple[str, str, Check], ...] = (
    (
        "private key",
        (
            r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d|"
            r"AGE-SECRET-KEY-1[A-Z0-9]{20,}"
        ),
        lambda match: True,
    ),
    ("key of OpenAI, Anthropic or alike", r"(?<![\w-])sk-[\w-]{20,}", is_random),
    ("token of Hugging Face", r"(?<!\w)(?:hf|api_org)_[A-Za-z0-9]{20,}", is_varied),
    (
        "token of GitHub",
        r"(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,})",
        is_varied,
    ),
    ("token of GitLab", r"(?<!\w)gl(?:pat|ptt|dt|rt|cbt|soat)-[\w.-]{20,}", is_varied),
    ("key of AWS", r"(?<![A-Z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])", is_varied),
    (
        "key of Google",
        r"(?<!\w)(?:AIza[\w-]{35}(?![\w-])|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{30,})",
        is_varied,
    ),
    (
        "token of Slack",
        (
            r"(?<!\w)xox[abcdeoprs]-[\w-]{10,}|(?<!\w)xapp-[\w-]{20,}"
            r"|hooks\.slack\.com/(?:services|workflows)/[\w/]{20,}"
        ),
        is_varied,
    ),
    ("key of Stripe", r"(?<!\w)(?:[rs]k|whsec)_(?:live_|test_)?[A-Za-z0-9]{20,}", is_random),
    ("token of PyPI", r"(?<!\w)pypi-[\w-]{50,}", is_varied),
    ("token of npm", r"(?<!\w)npm_[A-Za-z0-9]{30,}", is_varied),
    ("token of Telegram", r"(?<!\w)(?:bot)?\d{8,10}:[A-Za-z0-9_-]{35}(?![\w-])", is_varied),
    (
        "token of Discord",
        (
            r"(?<![\w.])[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w-])"
            r"|discord(?:app)?\.com/api/webhooks/\d+/[\w-]{20,}"
        ),
        is_varied,
    ),
    ("token of Yandex", r"(?<!\w)(?:AQVN[\w-]{30,}|y[0-3]_[\w-]{40,}|t1\.[\w-]{80,})", is_varied),
    (
        "key of a service",
        (
            r"(?<!\w)(?:gsk_|xai-|r8_|tvly-|pplx-|nvapi-|dapi|dop_v1_|hvs\.|SG\.|lin_api_|fw_|jina_"
            r"|co_|lsv2_pt_|secret_|sbp_|shpat_|key-|rnd_|vercel_|figd_|ATATT3|ntn_|cfut_|glc_|glsa_)"
            r"[\w.=-]{22,}"
        ),
        is_random,
    ),
    ("key of Azure", r"(?i)(?:AccountKey|SharedAccessKey)=(?P<value>[\w+/]{20,}={0,2})", is_varied),
    ("web token", r"(?<!\w)eyJ[\w-]{8,4000}\.eyJ[\w-]{8,4000}\.[\w-]{4,}", is_varied),
    (
        "password in a URL",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@'\"<>]{0,200}:(?P<value>[^\s/@'\"<>]{1,200})@",
        is_filled,
    ),
    (
        "token in a URL",
        (
            r"(?i)[?&#;](?:[a-z]+[_-])?(?:token|key|api_?key|sig|signature|secret|password|pwd|auth"
            r"|x-amz-(?:signature|credential|security-token))=(?P<value>[^\s&'\"<>#]{8,})"
        ),
        has_digit,
    ),
    ("e-mail in a URL", EMAIL_IN_URL, is_varied),
    ("Bearer token", r"(?i)\bbearer\s+(?P<value>[\w.~+/-]{12,}=*)", has_digit),
    ("Basic authorisation", r"(?i)\bbasic\s+(?P<value>[A-Za-z0-9+/]{8,}={0,2})", is_basic),
    (
        "authorisation header",
        (
            r"(?i)\b(?:authorization|x-api-key|api-key|x-auth-token)\\?['\"]?\s*:\s*\\?['\"]?"
            r"(?:token\s+)?(?P<value>[\w.~+/=-]{12,})"
        ),
        has_digit,
    ),
    ("password", _named(PASSWORDS, 4), is_filled),
    ("key in the text", _named(KEYS, 6), has_digit),
    ("token in the text", _named(TOKENS, 12), has_digit),
    ("key in the text", LINE, has_digit),
    ("key in the text", FLAG, has_digit),
    ("home path", HOME, is_somebody),
)
PATTERNS = tuple((kind, re.compile(pattern), check) for kind, pattern, check in FORMS)
