"""Figures in sentences, as all pages, findings and commands write them; and what people say, as it is kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

#: Before whatever is estimated.
MARK = "≈\u202f"
#: Control characters, and those that make text run backwards. What joins letters or signs is none of them: some
#: languages and emoji are written with it.
_UNWRITTEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")


def marked(text: str, *, exact: bool) -> str:
    """ "42", or "≈ 42" where it is an estimate."""
    return text if exact else f"{MARK}{text}"


def number(value: float, *, exact: bool = True) -> str:
    """ "41,233", "≈ 41,233", grouped as the language does."""
    return marked(str(number_format(round(value), force_grouping=True)), exact=exact)


def keys(value: float, *, exact: bool = True) -> str:
    """ "1 key", "41,233 keys", "≈ 41,233 keys"."""
    words = ngettext("%(number)s key", "%(number)s keys", round(value)) % {"number": number(value)}
    return marked(words, exact=exact)


def size(value: float, *, exact: bool = True) -> str:
    """ "12.4 MB", "≈ 12.4 MB"."""
    return marked(str(filesizeformat(round(value))), exact=exact)


def some(texts: Sequence[str], most: int = 3) -> str:
    """The first of ``texts`` and how many more: "a, b, c and 4 more"."""
    shown = ", ".join(texts[:most])
    more = len(texts) - most
    return shown if more <= 0 else _("%(shown)s and %(number)d more") % {"shown": shown, "number": more}


def one_line(text: str) -> str:
    """What a person or a program said, as one line that reorders nothing and that every database and terminal takes."""
    return _UNWRITTEN.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", text))
