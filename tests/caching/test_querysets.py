from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.db import connection, connections, transaction
from django.db.models import Count, F, Max, Prefetch, Q, Sum
from django.test.utils import CaptureQueriesContext

from cache_admin.caching import queries, querysets
from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.owners import owner_of
from cache_admin.caching.querysets import CachedQuerySet, invalidate_querysets
from tests.shop_models.models import Author, Book, Ink, Page, Shelf, Word

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def books(cache) -> list[Book]:
    shelf, other = Shelf.objects.create(name="a"), Shelf.objects.create(name="b")
    author = Author.objects.create(name="anna")
    made = [Book.objects.create(title=f"t{n}", price=n, shelf=shelf if n < 3 else other) for n in range(5)]
    for book in made:
        Page.objects.create(book=book)
        book.authors.add(author)
    cache.clear()
    return made


def cost(read: Callable[[], Any]) -> int:
    """Queries that a read needs."""
    with CaptureQueriesContext(
        connection,
    ) as queries:
        read()
    return len(queries)


def kept() -> CachedQuerySet[Book]:
    return Book.objects.cached(60)


READS: dict[str, Callable[[], Any]] = {
    "rows": lambda: list(kept()),
    "filter": lambda: list(kept().filter(price__gt=2)),
    "order": lambda: list(kept().order_by("-price")),
    "slice": lambda: list(kept().order_by("pk")[1:3]),
    "index": lambda: kept().order_by("pk")[2],
    "first": lambda: kept().first(),
    "last": lambda: kept().last(),
    "get": lambda: kept().get(price=2),
    "count": lambda: kept().count(),
    "len": lambda: len(kept()),
    "exists": lambda: kept().filter(price=3).exists(),
    "bool": lambda: bool(kept()),
    "aggregate": lambda: kept().aggregate(Max("price"), total=Sum("price", filter=Q(price__gt=1))),
    "values": lambda: list(kept().values("title", "price")),
    "values_list": lambda: list(kept().values_list("title", "price")),
    "flat": lambda: list(kept().values_list("title", flat=True)),
    "named": lambda: [tuple(row) for row in kept().values_list("title", "price", named=True)],
    "in_bulk": lambda: kept().in_bulk(),
    "annotate": lambda: [(b.pk, b.n) for b in kept().annotate(n=Count("page")).order_by("pk")],
    "select_related": lambda: [book.shelf.name for book in kept().select_related("shelf")],
    "prefetch": lambda: [[a.name for a in book.authors.all()] for book in kept().prefetch_related("authors")],
    "prefetch_reverse": lambda: [len(shelf.books.all()) for shelf in _shelves()],
    "prefetch_object": lambda: [len(b.first) for b in kept().prefetch_related(_first_pages())],
    "union": lambda: sorted(b.pk for b in kept().filter(price=1).union(kept().filter(price=2))),
    "subquery": lambda: list(kept().filter(shelf__in=Shelf.objects.filter(name="a"))),
    "as_manager": lambda: list(Page.objects.cache(60)),
}


def _shelves() -> Any:
    # A model without a cached manager can still be kept through a queryset of one.
    return CachedQuerySet(Shelf).cache(60).prefetch_related("books")


def _first_pages() -> Prefetch:
    return Prefetch("page_set", Page.objects.filter(number=1), to_attr="first")


@pytest.mark.parametrize("name", sorted(READS))
def test_a_query_is_asked_once_and_answers_the_same(name: str):
    read = READS[name]
    first = read()
    with CaptureQueriesContext(connection) as queries:
        assert read() == first
    assert queries.captured_queries == []


@pytest.mark.parametrize("name", sorted(READS))
def test_a_write_makes_every_query_anew(name: str, books):
    read = READS[name]
    read()
    for model in (Book, Shelf, Page):
        model.objects.first().save()
    with CaptureQueriesContext(connection) as queries:
        read()
    assert queries.captured_queries


def test_different_queries_never_share_a_key():
    seen = [
        list(kept().filter(price=1)),
        list(kept().filter(price=2)),
        list(kept().filter(price=1).values("title")),
        list(kept().filter(price=1).values_list("title")),
        list(kept().filter(title="1")),
        kept().filter(price=1).count(),
        kept().filter(price=1).exists(),
        kept().aggregate(a=Max("price")),
        kept().aggregate(b=Max("price")),
    ]
    assert len({repr(one) for one in seen}) == len(seen)


def test_rows_of_a_related_manager_know_the_row_they_came_from(books):
    shelf = Shelf.objects.first()
    first = list(shelf.books.cache(60))
    with CaptureQueriesContext(connection) as queries:
        again = list(shelf.books.cache(60))
        assert [book.shelf for book in again] == [shelf] * len(first)
        assert all(book.shelf is shelf for book in again)
    assert queries.captured_queries == []


def test_an_empty_result_set_asks_nobody(raw: redis.Redis):
    before = raw.dbsize()
    assert cost(lambda: (list(kept().none()), list(kept().filter(pk__in=[])), kept().filter(pk__in=[]).count())) == 0
    assert raw.dbsize() == before


def test_an_empty_answer_is_an_answer():
    assert list(kept().filter(price=99)) == []
    assert cost(lambda: list(kept().filter(price=99))) == 0


def test_iterator_and_locking_reads_are_never_kept():
    list(kept())
    assert cost(lambda: list(kept().iterator())) == 1
    with transaction.atomic():
        assert cost(lambda: list(kept().select_for_update())) == 1
        assert cost(lambda: list(kept().select_for_update())) == 1


def test_a_queryset_without_cache_is_a_plain_one(raw: redis.Redis):
    assert cost(lambda: list(Book.objects.all())) == cost(lambda: list(Book.objects.all())) == 1
    assert raw.dbsize() == 0


WRITES: dict[str, Callable[[Book], Any]] = {
    "create": lambda book: Book.objects.create(title="new"),
    "save": lambda book: book.save(),
    "delete": lambda book: book.delete(),
    "update": lambda book: Book.objects.filter(pk=book.pk).update(price=F("price") + 1),
    "aupdate": lambda book: asyncio.run(Book.objects.filter(pk=book.pk).aupdate(price=8)),
    "queryset_delete": lambda book: Book.objects.filter(pk=book.pk).delete(),
    "bulk_create": lambda book: Book.objects.bulk_create([Book(title="new")]),
    "bulk_update": lambda book: Book.objects.bulk_update([book], ["price"]),
    "get_or_create": lambda book: Book.objects.get_or_create(title="new"),
    "update_or_create": lambda book: Book.objects.update_or_create(title="t1", defaults={"price": 7}),
    "update_kept": lambda book: kept().filter(pk=book.pk).update(price=9),
    "delete_kept": lambda book: kept().filter(pk=book.pk).delete(),
    "related_add": lambda book: Shelf.objects.get(name="b").books.add(book),
    "related_create": lambda book: Shelf.objects.get(name="b").books.create(title="new"),
    "by_hand": lambda book: invalidate_querysets(Book),
}


@pytest.mark.parametrize("name", sorted(WRITES))
def test_every_write_invalidates_at_once(name: str, books):
    list(kept())
    WRITES[name](books[1])
    assert sorted(kept(), key=lambda book: book.pk) == list(Book.objects.order_by("pk"))
    list(kept())
    assert cost(lambda: list(kept())) == 0


def test_rows_are_kept_in_every_kind_of_cache(kind: str, monkeypatch, books):
    monkeypatch.setattr(CachedQuerySet, "cache_alias", kind)
    itself = 3 if kind == "table" else 0  # queries of the cache itself

    async def asked() -> tuple[list[Book], int, bool]:
        rows = kept().order_by("pk")
        return [book async for book in rows], await kept().acount(), await kept().filter(price=0).aexists()

    try:
        for book in books[:2]:
            assert asyncio.run(asked()) == (list(Book.objects.order_by("pk")), 5, Book.objects.filter(price=0).exists())
            assert (
                cost(lambda: (list(kept().order_by("pk")), kept().count(), kept().filter(price=0).exists())) == itself
            )
            asyncio.run(Book.objects.filter(pk=book.pk).aupdate(price=8))
            book.title = "saved"
            asyncio.run(book.asave())
    finally:
        for name, rule in list(querysets._listening.items()):
            if name[1] == kind != "default":
                cache_invalidator.unregister(rule)
                del querysets._listening[name]


def test_changes_of_joined_and_prefetched_rows_invalidate(books):
    def names() -> list[str]:
        return [book.shelf.name for book in kept().select_related("shelf").order_by("pk")]

    def authors() -> list[list[str]]:
        return [[a.name for a in book.authors.all()] for book in kept().prefetch_related("authors")]

    names(), authors()
    Shelf.objects.filter(name="a").first().delete()
    assert names() == ["b", "b"]
    authors()
    Author.objects.get().books.clear()
    assert authors() == [[], []]


def test_a_transaction_sees_its_own_writes_and_hides_them_until_the_commit(books):
    assert kept().count() == 5
    with transaction.atomic():
        Book.objects.create(title="new")
        assert kept().count() == 6
        assert len(kept()) == 6
    assert kept().count() == 6


def test_a_rolled_back_write_leaves_what_is_kept(books):
    list(kept())
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Book.objects.update(price=1 / 0 if Book.objects.update(price=1) else 0)
    assert cost(lambda: list(kept())) == 0
    assert [book.price for book in kept().order_by("pk")] == [0, 1, 2, 3, 4]


def test_get_or_create_and_delete_never_trust_kept_rows(books):
    queryset = kept().filter(title="t1")
    assert len(queryset) == 1
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shop_models_book SET title = 'renamed' WHERE title = 't1'")
    assert kept().filter(title="t1").get_or_create(title="t1")[1] is True
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shop_models_book SET title = 'hidden' WHERE title = 't1'")
    assert kept().filter(title="t1").delete()[0] == 0


def test_parameters_that_cannot_be_spelled_are_not_kept(monkeypatch, raw: redis.Redis):
    queryset = kept().filter(price=1)
    monkeypatch.setattr(querysets, "digest", lambda *a, **k: None)
    assert [book.price for book in queryset] == [1]
    assert raw.dbsize() == 0


def test_values_of_json_and_bytes_are_parameters_like_others(books):
    Book.objects.filter(price=1).update(data={"a": [1, 2]})
    for _ in range(2):
        assert [book.price for book in kept().filter(data__a=[1, 2])] == [1]
        assert list(kept().filter(data__a=[1, 3])) == []


def test_a_model_that_nobody_listens_to_is_warned_about_once(books, caplog):
    ink = Ink.objects.create(colour="red")
    Word.objects.create(page=Page.objects.first(), ink=ink)
    querysets._listening.pop((Ink, "default"), None)
    queryset = Page.objects.cache(60).filter(words__ink__colour="red")
    with caplog.at_level(logging.WARNING):
        assert len(queryset) == len(queryset.all()) == 1
    assert caplog.text.count("Ink") <= 1
    ink.delete()
    assert len(queryset.all()) == 0


def test_async_code_reads_what_is_kept(books):
    async def read() -> tuple[int, int, Any]:
        rows = [book async for book in kept()]
        return len(rows), await kept().acount(), await kept().afirst()

    assert asyncio.run(read())[:2] == (5, 5)


def test_keys_name_their_family_and_have_an_owner(raw: redis.Redis):
    list(Book.objects.cached(60, key_prefix="shelf_page"))
    [key] = [key.decode() for key in raw.scan_iter("shop:1:shelf_page:*")]
    owner = owner_of("default", key.removeprefix("shop:1:"))
    assert owner
    assert (owner.kind, owner.name) == ("queryset", "shop_models.book (shelf_page)")


def test_what_a_query_returns_now_is_computed_without_storing_it(books, raw: redis.Redis, monkeypatch):
    asks: dict[str, Callable[[], Any]] = {
        "rows": lambda: list(kept().filter(shelf=books[0].shelf).order_by("pk").prefetch_related("authors")),
        "count": lambda: kept().filter(price__gt=1).count(),
        "exists": lambda: kept().filter(price=0).exists(),
        "aggregate": lambda: kept().aggregate(total=Sum("price")),
    }
    before = {name: ask() for name, ask in asks.items()}
    keys = {key.split(":")[4]: key.split(":", 2)[2] for key in map(bytes.decode, raw.scan_iter("shop:1:queryset:*"))}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shop_models_book SET price = price + 10, title = 'new'")
    dump = {key: raw.dump(f"shop:1:{key}") for key in keys.values()}

    def again(name: str) -> Any:
        owner = owner_of("default", keys[name.replace("aggregate", "'aggregate%3Atotal'")])
        assert owner
        assert owner.recompute
        return owner.recompute(keys[name.replace("aggregate", "'aggregate%3Atotal'")], "")

    assert [book.title for book in again("rows")] == ["new"] * 3
    assert cost(lambda: again("rows")) == 2, "the rows and their authors"
    assert (again("count"), again("exists"), again("aggregate")) == (5, False, {"total": 60})
    assert {name: ask() for name, ask in asks.items()} == before
    assert {key: raw.dump(f"shop:1:{key}") for key in keys.values()} == dump
    monkeypatch.setattr(queries, "_asked", type(queries._asked)())
    with pytest.raises(LookupError, match="This worker has not asked this query lately"):
        again("rows")


def test_only_so_many_queries_are_remembered_and_none_of_their_rows(monkeypatch, books):
    monkeypatch.setattr(queries, "_MOST_ASKED", 3)
    monkeypatch.setattr(queries, "_asked", type(queries._asked)())
    for price in range(5):
        rows = books[0].shelf.books.cache(60).filter(price=price)
        assert len(rows) == (price < 3)
        len(books[0].shelf.books.cache(60).filter(price=0))
    assert len(queries._asked) == 3
    shown = [partial.args[0] for partial in queries._asked.values()]
    assert [(one._result_cache, one._hints, one._known_related_objects) for one in shown] == [(None, {}, {})] * 3
    assert sum("= 0" in str(one.query) for one in shown) == 1, "one that is asked again stays"


def test_the_database_is_part_of_the_key():
    connections.databases["other"] = {**connections.databases["default"]}
    try:
        keys = {queries.digest(Book.objects.using(name), "rows") for name in ("default", "other")}
        assert len(keys) == 2
    finally:
        del connections["other"], connections.databases["other"]


def test_a_pickled_queryset_keeps_its_rows(books):
    queryset = kept().order_by("pk")
    assert list(pickle.loads(pickle.dumps(queryset))) == books
