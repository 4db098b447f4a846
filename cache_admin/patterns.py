"""A key -> its template, and back to exact membership, text and a server glob. Pure: no I/O, no settings.

A *template* is a user key (bytes, without prefix and version) whose variable parts are folded:

* an *id-star*, byte ``\\x00``, stands for what looks like an id: a number, uuid, hash, date, address, token;
* a *word-star*, byte ``\\x01``, stands for one whole segment, whatever it holds. Only :mod:`.folding` makes these,
  where a position has too many different words.

Keys that hold these two bytes themselves fold them to an id-star, so a template is never ambiguous. Segments are what
lies between the first separator of ``: / | . - _`` that the folded key holds. Whether a key is a member of a template
follows from the two alone, so a pattern found yesterday means the same keys today.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from cache_admin.keys import MAX_GLOB_BYTES, MAX_WILDCARDS, escape_glob, show

ID = b"\x00"
WORD = b"\x01"
#: Bytes of a name that are looked at; a longer one is folded as its beginning and an id-star.
CUT = 512
#: Segments of a template; what follows the last separator that counts is one segment.
MAX_SEGMENTS = 16
_SEPARATORS = (b":", b"/", b"|", b".", b"-", b"_")

_ALNUM = rb"[A-Za-z0-9\x80-\xff]"
_END = rb"(?!" + _ALNUM + rb")"
_HEX = rb"[0-9A-Fa-f]"
_DIGIT = rb"(?<=\d)"
_HASH = rb"(?:(?<=\d)|(?=[A-Fa-f]*+\d))" + _HEX + rb"{7,}+"
# Every alternative goes on behind a first hex digit at the start of a word: a class as first item lets the engine skip
# all other bytes fast. The look-ahead behind it and the first two alternatives only shorten the way for common cases.
_IDS = re.compile(
    _HEX + rb"(?<!" + _ALNUM + rb".)(?:(?<=\d)|(?=[A-Fa-f]*+[\d:-]))"
    rb"(?:" + _DIGIT + rb"\d*+(?![A-Za-z0-9\x80-\xff.-]|:" + _HEX + rb"{0,4}:)"
    rb"|" + _HASH + rb"(?!-|" + _ALNUM + rb")"
    rb"|" + _HEX + rb"{7}-(?:" + _HEX + rb"{4}-){3}" + _HEX + rb"{12}" + _END  # uuid
    + rb"|" + _DIGIT  # date or month
    + rb"\d{3}-\d\d(?:-\d\d(?:[T ]\d\d:?\d\d(?::?\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?)?" + _END
    + rb"|" + _DIGIT + rb"\d{0,2}(?:\.\d{1,3}){3}" + _END  # IPv4
    + rb"|" + _HEX + rb"{3}:(?:" + _HEX + rb"{1,4}:){1,6}:?" + _HEX + rb"{1,4}" + _END  # IPv6
    + rb"|" + _HASH + _END
    + rb"|" + _DIGIT + rb"\d*+" + _END + rb")",
    re.DOTALL,
)  # fmt: skip
#: Letters and a long number: user12345, but not utf8, h264 or sha256.
_NUMBERED = re.compile(rb"[0-9](?<=[A-Za-z].)\d{3,}+" + _END, re.DOTALL)
#: Django's session keys are glued to their prefix.
_SESSIONS = tuple(
    (prefix, re.compile(re.escape(prefix) + rb"[0-9a-z]{32}" + _END), prefix + ID)
    for prefix in (b"django.contrib.sessions.cache", b"django.contrib.sessions.cached_db")
)
# Looked for only in names that were not met before, because these ids differ from key to key anyway: e-mail addresses,
# and tokens of mixed case with digits between letters.
_DOMAIN = rb"@[\w\x00-]{1,63}(?:\.[\w\x00-]{1,63})+"
_ADDRESS = re.compile(
    rb"(?<=[:/|=])[\w.+%\x00-]{1,64}" + _DOMAIN + rb"|(?<![A-Za-z0-9.+%])[A-Za-z0-9.+%\x00]{1,64}" + _DOMAIN
)
_SHORTEST_TOKEN = 20
_TOKEN = re.compile(
    rb"(?<!" + _ALNUM + rb")(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])(?=[A-Za-z0-9]*[A-Za-z]\d[A-Za-z])"
    rb"[\w-]{%d,}+" % _SHORTEST_TOKEN + _END
)


def fold_common(names: Sequence[bytes]) -> list[bytes]:
    """Names with the common kinds of ids folded, all in one substitution. :func:`finish` makes a template of each."""
    if max(map(len, names), default=0) > CUT:
        names = [name if len(name) <= CUT else name[:CUT] + ID for name in names]
    folded = _fold(b"\n".join(names)).split(b"\n")
    if len(folded) != len(names):
        return [_fold(name) for name in names]
    return folded


def _fold(text: bytes) -> bytes:
    text = text.replace(WORD, ID)
    for prefix, session, replacement in _SESSIONS:
        if prefix in text:
            text = session.sub(replacement, text)
    return _NUMBERED.sub(ID, _IDS.sub(ID, text))


def finish(folded: bytes) -> bytes:
    """The template of a name that went through :func:`fold_common`: the rarer kinds of ids folded as well."""
    if b"@" in folded:
        folded = _ADDRESS.sub(ID, folded)
    if len(folded) >= _SHORTEST_TOKEN and not folded.islower():
        folded = _TOKEN.sub(ID, folded)
    return folded


def fold(name: bytes) -> bytes:
    """The template of one name, without word-stars."""
    return finish(fold_common((name,))[0])


def split(template: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Separator (empty where there is none) and segments; ``separator.join(segments)`` is the template."""
    for separator in _SEPARATORS:
        if separator in template:
            return separator, tuple(template.split(separator, MAX_SEGMENTS - 1))
    return b"", (template,)


def matcher(template: bytes) -> Callable[[bytes], bool]:
    """Exact membership of user keys (bytes, see :meth:`KeyCodec.strip`)."""
    if WORD not in template:
        return lambda name: fold(name) == template
    separator, segments = split(template)
    fixed = [(i, segment) for i, segment in enumerate(segments) if segment != WORD]

    def is_member(name: bytes) -> bool:
        other, parts = split(fold(name))
        return other == separator and len(parts) == len(segments) and all(parts[i] == part for i, part in fixed)

    return is_member


def matches(template: bytes, name: bytes) -> bool:
    """Whether a user key is a member of a template."""
    return matcher(template)(name)


def within(part: bytes, whole: bytes) -> bool:
    """Whether all members of the template ``part`` are members of ``whole`` as well."""
    if part == whole:
        return True
    separator, segments = split(part)
    other, general = split(whole)
    return (
        WORD in whole
        and separator == other
        and len(segments) == len(general)
        and all(one in (WORD, mine) for one, mine in zip(general, segments, strict=True))
    )


_STARS = re.compile(b"[\x00\x01]")


def varies(template: bytes) -> bool:
    """Whether it has more members than one."""
    return _STARS.search(template) is not None


def display(template: bytes) -> str:
    """Text for a page: ``*`` for what varies, ``\\*`` for a star of the key itself, the rest as :func:`keys.show`."""
    return "*".join(show(piece).replace("*", "\\*") for piece in _STARS.split(template))


def glob(template: bytes) -> bytes:
    """A glob of user keys that all members match, and others may: for ``SCAN MATCH`` before :func:`matcher`.

    Within the limits of ``keys.normalise_glob``: what goes beyond them becomes one ``*`` at the end.
    """
    parts: list[bytes] = []
    size = stars = 0
    for token in re.findall(rb"[\x00\x01]+|[^\x00\x01]", template):
        star = token[:1] in {ID, WORD}
        part = b"*" if star else escape_glob(token)
        if size + len(part) >= MAX_GLOB_BYTES or (star and stars == MAX_WILDCARDS - 1):
            parts.append(b"*")
            break
        stars += star
        size += len(part)
        parts.append(part)
    return b"".join(parts)
