"""Keeps secrets out of previews and key names: by field name, by key, and by what a secret looks like.

Masking is for the eyes of staff, not a vault: it knows JSON Web Tokens, card numbers, private keys and passwords in
URLs or beside a telling name. Everything else needs a field name in ``MASKED_FIELDS`` or a key in ``MASKED_KEYS``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.keys import KeyCodec, compile_glob, show

DOTS = "\u2022" * 4
SHOWN_OF_SESSION = 8  #: characters of a session key that are shown: enough to tell two apart, too few to use

CHECKED = 65_536  #: bytes

_SIGNS = ("eyJ", "://", "-----BEGIN ")
_NO_LETTERS = bytes(set(range(128)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))
_SESSION_KEY = re.compile(rb"[A-Za-z0-9_-]{20,}\Z")
#: Lookbehinds and bounded repeats keep these linear on hostile text.
_SHAPES = re.compile(
    r"(?<![\w-])eyJ[\w-]{5,}\.eyJ[\w-]{5,}(?:\.[\w-]*)?"  # JSON Web Token: two base64url objects, a signature
    r"|://[^\s/:@]{0,80}:[^\s/@]{1,200}@"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----",
    re.ASCII,
)
#: Issuers' first digits: Visa, Mastercard, American Express, Discover, JCB, Diners. Groups may be spaced or dashed.
_CARD = re.compile(
    r"(?<![\d.])(?:4|5[1-5]|2[2-7]|3[4-8]|6[045])(?:[ -]?\d){11,17}(?!\.?\d)",
    re.ASCII,
)


def luhn(digits: str) -> bool:
    """Whether the check digit of a card number holds (ISO/IEC 7812-1, annex B)."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + i % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def dots(length: int | None = None) -> str:
    """What stands in place of a secret."""
    return f"{DOTS} ({_('%d characters') % length})" if length is not None else DOTS


@lru_cache(maxsize=8)
def _words(fields: tuple[str, ...]) -> re.Pattern[str] | None:
    """The words of field names; any separator, or none, stands between the parts of a word."""
    words = [r"[\W_]?".join(map(re.escape, re.findall(r"[^\W_]+", word))) for word in fields]
    return re.compile("|".join(word for word in words if word), re.IGNORECASE) if any(words) else None


@lru_cache(maxsize=8)
def _assignments(fields: tuple[str, ...]) -> re.Pattern[str] | None:
    """``password=...`` as in URLs and forms, ``"password": ...`` as in JSON, of any masked field."""
    words = _words(fields)
    if words is None:
        return None
    near = rf"[\w.-]{{0,40}}(?:{words.pattern})[\w.-]{{0,40}}"
    empty = r"(?:null|None|true|false|\"\"|'')"
    return re.compile(
        rf"(?:^|[?&;\s]){near}=[^\s&;\"'>]|[\"']{near}[\"']\s{{0,2}}:\s{{0,2}}(?!{empty})\S",
        re.IGNORECASE | re.MULTILINE,
    )


@dataclass(frozen=True, slots=True)
class Mask:
    """The rules for one preview. ``reveal`` switches all of them off."""

    fields: tuple[str, ...]
    keys: tuple[str, ...]
    reveal: bool = False

    @classmethod
    def current(cls, *, reveal: bool = False) -> Mask:
        """The rules in the settings."""
        settings = conf.current()
        return cls(settings.MASKED_FIELDS, settings.MASKED_KEYS, reveal)

    def key(self, key: str) -> bool:
        """Whether all of the value under this user key is masked."""
        raw = key.encode("utf-8", "surrogateescape")
        return not self.reveal and any(compile_glob(glob.encode())(raw) for glob in self.keys)

    def field(self, name: object) -> bool:
        """Whether the name of a field tells that its value is secret."""
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        words = _words(self.fields)
        return not self.reveal and isinstance(text, str) and words is not None and bool(words.search(text[:200]))

    def shape(self, text: str) -> bool:
        """Whether a text holds something that looks like a secret."""
        if self.reveal:
            return False
        # Most texts hold no sign of any; looking for that first is twenty times faster.
        if any(sign in text for sign in _SIGNS) and _SHAPES.search(text):
            return True
        assignments = _assignments(self.fields) if "=" in text or ":" in text else None
        return bool(assignments and assignments.search(text)) or any(
            luhn(re.sub(r"\D", "", match[0])) for match in _CARD.finditer(text)
        )

    def leaks(self, data: bytes) -> bool:
        """Whether bytes may hold a secret in the clear. Errs on the safe side: the name of a masked field is enough.

        What a secret looks like is sought in the first ``CHECKED`` bytes, of which raw text and hex show less.
        """
        if self.reveal:
            return False
        letters = data.lower().translate(None, _NO_LETTERS)
        names = ("".join(re.findall(r"[^\W_]+", word)).lower().encode() for word in self.fields)
        named = any(name and name in letters for name in names)
        return named or (b"eyJ" in data and b".eyJ" in data) or self.shape(data[:CHECKED].decode("latin-1"))


def key_text(raw: bytes, codec: KeyCodec, family: str = "", *, reveal: bool = False) -> str:
    """A raw key as text for a page, see :func:`cache_admin.keys.show`, with secrets in it masked.

    Of a session key (``family`` "session") the first ``SHOWN_OF_SESSION`` characters stay, of a key under
    ``MASKED_KEYS`` what stands before the first wildcard.
    """
    if reveal:
        return show(raw)
    user = codec.strip(raw)
    head = 0 if user == raw else len(codec.head)
    for glob in conf.current().MASKED_KEYS:
        if compile_glob(glob.encode())(user):
            literal = re.split(r"[*?\[\\]", glob)[0].encode()
            return show(raw[: head + len(literal)]) + 2 * DOTS
    if family == "session" and (found := _SESSION_KEY.search(user)):
        # Names such as "django.contrib.sessions.cache" + key have no separator before the key, which has 32 characters.
        start = max(found.start(), len(user) - 32)
        return show(raw[: head + start + SHOWN_OF_SESSION]) + 2 * DOTS
    return show(_SHAPES.sub(2 * DOTS, raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))
