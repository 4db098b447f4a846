from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import caches
from django.template import Context, RequestContext, Template, TemplateSyntaxError, engines
from django.test import RequestFactory, override_settings
from django.utils import timezone, translation

from cache_admin.caching.fragments import ainvalidate_fragment, invalidate_fragment
from cache_admin.caching.tags import invalidate_tags
from cache_admin.exceptions import Unsupported
from tests.shop_models.models import Product

pytestmark = pytest.mark.usefixtures("cache")
PARTS = {
    "card.html": "<b>{{ product }}</b>{{ user }}{{ request }}{% csrf_token %}{{ messages }}",
    "count.html": "{{ counter.next }}",
    "mine.html": "{{ counter.next }} {{ user.username }}",
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [("django.template.loaders.locmem.Loader", PARTS)],
            "libraries": {"cache_admin_caching": "cache_admin.templatetags.cache_admin_caching"},
            "context_processors": ["django.template.context_processors.request"],
        },
    }
]


@pytest.fixture(autouse=True)
def templates():
    with override_settings(TEMPLATES=TEMPLATES):
        yield


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count

    def none(self) -> None:
        self.count += 1

    def add(self, *args: int, more: int = 0) -> int:
        self.count += 1
        return sum(args) + more

    def __reduce__(self) -> Any:
        raise AssertionError("a variable of the page was stored")


def render(source: str, **context: Any) -> str:
    text = "{% load cache cache_admin_caching %}" + source
    return engines["django"].from_string(text).template.render(Context(context))


def test_one_fragment_goes_or_all_of_its_name(cache):
    source = "{% cache 60 side pk %}{{ pk }}{% endcache %}{% cache 60 side.bar pk %}{% endcache %}"
    for pk in (1, 10):
        render(source, pk=pk)
    render("{% cache 60 side %}none{% endcache %}")
    assert invalidate_fragment("side", 1) == 1
    assert invalidate_fragment("side", 1) == 0
    assert invalidate_fragment("side") == 1
    assert invalidate_fragment("side", every=True) == 1
    assert invalidate_fragment("side.bar", every=True) == 2


def test_parts_live_in_every_kind_of_cache(kind: str):
    counter, lists = Counter(), kind in ("core", "default")
    source = (
        "{% cache 60 side pk using=kind %}{{ counter.next }}{% endcache %} "
        '{% cache_include "count.html" "count" 60 counter=counter pk=pk using=kind tags="all" %} '
        '{% cached_value "none" 60 counter.none using=kind tags="all" as value %}{{ value }}'
    )
    shown = [render(source, counter=counter, pk=pk, kind=kind) for pk in (1, 10, 1, 10)]
    assert shown == ["1 2 None", "4 5 None"] * 2
    assert invalidate_fragment("side", 1, alias=kind) == 1
    invalidate_tags("all", alias=kind)
    assert render(source, counter=counter, pk=1, kind=kind) == "6 7 None"
    if lists:
        assert asyncio.run(ainvalidate_fragment("side", every=True, alias=kind)) == 2
    else:
        with pytest.raises(Unsupported, match=f"{kind}: this cache cannot list its keys"):
            invalidate_fragment("side", every=True, alias=kind)
        assert asyncio.run(ainvalidate_fragment("side", 10, alias=kind)) == 1


def test_async_code_renders_parts_too():
    async def show() -> list[str]:
        counter = Counter()
        source = '{% cache_include "count.html" "count" 60 counter=counter %}'
        return [render(source, counter=counter) for _ in range(2)]

    assert asyncio.run(show()) == ["1", "1"]


def test_a_name_with_the_signs_of_a_glob_stands_for_itself(cache):
    render("{% cache 60 a*c %}{% endcache %}{% cache 60 abc %}{% endcache %}")
    assert invalidate_fragment("a*c", every=True) == 1


def test_all_of_a_name_where_nothing_can_be_listed_is_refused_in_words():
    render('{% cache 60 side using="locmem" %}x{% endcache %}')
    with pytest.raises(Unsupported, match="locmem"):
        invalidate_fragment("side", every=True, alias="locmem")
    assert invalidate_fragment("side", alias="locmem") == 1


def test_fragments_live_in_their_own_alias_where_there_is_one(settings):
    settings.CACHES = {**settings.CACHES, "template_fragments": settings.CACHES["locmem"]}
    caches["template_fragments"].clear()
    render("{% cache 60 side %}x{% endcache %}")
    assert invalidate_fragment("side") == 1


def test_an_include_is_rendered_once_for_each_set_of_variables():
    counter = Counter()
    source = '{% cache_include "count.html" "count" 60 counter=counter pk=pk %}'
    assert [render(source, counter=counter, pk=pk) for pk in (1, 2, 1, 2)] == ["1", "2", "1", "2"]


def test_models_stand_in_the_key_by_what_they_are(raw: redis.Redis):
    render('{% cache_include "card.html" "card" 60 product=product %}', product=Product(pk=5, name="a"))
    assert raw.exists("shop:1:include:card:en-us:product:shop_models.product(5)")


def test_nothing_of_the_request_gets_under_a_shared_key():
    request = RequestFactory().get("/")
    request.user = User(username="anna")
    source = '{% load cache_admin_caching %}{% cache_include "card.html" "card" 60 product="x" %}'
    page = engines["django"].from_string(source).template
    text = page.render(RequestContext(request, {"user": request.user, "messages": "saved", "csrf_token": "secret"}))
    assert text == "<b>x</b>"


@pytest.mark.parametrize(
    ("source", "shown"), [("{}", "&lt;i&gt;"), ("{{% autoescape off %}}{}{{% endautoescape %}}", "<i>")]
)
def test_escaping_is_that_of_the_page_also_from_the_cache(source: str, shown: str):
    include = source.format('{% cache_include "card.html" "card" 60 product=product %}')
    for _ in range(2):
        assert render(include, product="<i>") == f"<b>{shown}</b>"


def test_a_page_that_does_not_escape_leaves_nothing_to_one_that_does():
    include = '{% cache_include "card.html" "card" 60 product=product %}'
    off = "{% autoescape off %}" + include + "{% endautoescape %}"
    assert [render(one, product="<i>") for one in (off, include, off, include)] == [
        "<b><i></b>",
        "<b>&lt;i&gt;</b>",
    ] * 2


def test_a_part_that_is_not_localized_is_another_one(settings):
    settings.USE_THOUSAND_SEPARATOR = True
    include = '{% cache_include "card.html" "card" 60 product=12345 %}'
    plain = "{% load l10n %}{% localize off %}" + include + "{% endlocalize %}"
    assert [render(one) for one in (plain, include, plain, include)] == ["<b>12345</b>", "<b>12,345</b>"] * 2


def test_a_text_from_a_json_cache_is_not_escaped_again():
    include = '{% cache_include "card.html" "card" 60 product="x" using="json" %}'
    assert [render(include) for _ in range(2)] == ["<b>x</b>"] * 2


def test_an_include_per_user_is_kept_for_each_and_sees_the_user():
    counter = Counter()
    source = '{% cache_include "mine.html" "mine" 60 counter=counter per_user %}'
    users = [User(pk=1, username="anna"), User(pk=2, username="bob"), AnonymousUser()]
    shown = [render(source, counter=counter, user=user) for user in (*users, *users)]
    assert shown == ["1 anna", "2 bob", "3 "] * 2
    with pytest.raises(TemplateSyntaxError, match="no user"):
        render(source, counter=counter)


def test_languages_and_time_zones_are_kept_apart():
    counter = Counter()

    def show() -> str:
        return render('{% cache_include "count.html" "count" 60 counter=counter %}', counter=counter)

    first = show()
    with translation.override("de"):
        assert show() != first
    with timezone.override("Asia/Tokyo"):
        assert show() != first
    assert show() == first


def test_tags_make_parts_stale():
    counter = Counter()

    def show() -> str:
        source = '{% cache_include "count.html" "a" 60 counter=counter tags="product:1 all" %}'
        return render(
            source + ' {% cached_value "b" 60 counter.next tags=names as v %}{{ v }}', counter=counter, names=["all"]
        )

    assert show() == show() == "1 2"
    invalidate_tags("all", alias="default")
    assert show() == "3 4"


def test_a_value_is_computed_once_and_named():
    counter = Counter()
    source = '{% cached_value "sum" 60 counter.add 1 b more=3 as total %}{{ total }}'
    assert [render(source, counter=counter, b=b) for b in (2, 2, 5)] == ["6", "6", "9"]
    assert counter.count == 2


def test_none_is_a_value():
    counter = Counter()
    source = '{% cached_value "none" 60 counter.none as value %}{{ value }}'
    assert [render(source, counter=counter) for _ in range(2)] == ["None", "None"]
    assert counter.count == 1


def test_a_callable_comes_from_the_context_or_by_its_path():
    assert render('{% cached_value "a" 60 now as v %}{{ v }}', now=lambda: 7) == "7"
    assert render('{% cached_value "b" 60 "os.getpid" as v %}{{ v }}').isdigit()
    assert render('{% cached_value "c" 60 tools.now as v %}{{ v }}', tools={"now": lambda: 8}) == "8"


@pytest.mark.parametrize(
    "source",
    [
        "{% cached_value %}",
        '{% cached_value "a" 60 counter.next %}',
        '{% cached_value "a" 60 counter.nothing as v %}',
        '{% cached_value "a" 60 nothing as v %}',
        '{% cached_value "a" 60 counter.__reduce__ as v %}',
        '{% cached_value "a" soon counter.next as v %}',
        '{% cached_value "a" 60 dangerous as v %}',
        '{% cache_include "card.html" %}',
        '{% cache_include "card.html" "a" 60 "positional" %}',
        "{% cache_include %}",
    ],
)
def test_what_cannot_work_is_a_syntax_error(source: str):
    def dangerous() -> None: ...

    dangerous.alters_data = True
    with pytest.raises(TemplateSyntaxError):
        render(source, counter=Counter(), dangerous=dangerous)


def test_a_template_object_and_a_list_of_names_are_included():
    one = Template("{{ x }}")
    assert render('{% cache_include one "one" 60 x=1 %}', one=one) == "1"
    assert render('{% cache_include names "two" 60 product=1 %}', names=["none.html", "card.html"]) == "<b>1</b>"
