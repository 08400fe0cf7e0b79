"""Store which movies the providers of a region offer, from TMDb's discover, page by page.

The command `sync_tmdb --providers REGION` calls `region_offers_sync`. It fills the filter `provider` for
movies that were not read in full within a week; a killed run resumes at its checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from movies.availability import MONETIZATIONS, Offer
from movies.models import MAX_OFFERS_AGE
from movies.selectors import list_region_providers
from movies.services.availability import (
    expired_availability_delete,
    provider_list_replace,
    region_offers_add,
)
from nexus.core.db.transactions import long_transaction
from tmdb import cache
from tmdb.client.errors import TmdbAuthFailed, TmdbError, TmdbNotConfigured
from tmdb.client.http import make_provider_discover_request, make_providers_request
from tmdb.gateway import Gateway
from tmdb.parsers import (
    SearchPage,
    parse_provider_list,
    parse_search_page,
    select_catalogue_entries,
)
from tmdb.selectors import get_movie_ids
from tmdb.services import movies_store
from tmdb.sync.checkpoint import (
    MAX_CONSECUTIVE_FAILURES,
    ReportProgress,
    SyncFailures,
    SyncInterrupted,
    clear_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

NAME = "sync_tmdb_providers"


@dataclass
class ProviderSyncResult:
    """Counts of a run and of the runs it resumed."""

    offers: int = 0
    pages: int = 0
    resumed: bool = False
    failures: SyncFailures = field(default_factory=SyncFailures)


@dataclass
class _ProviderSync:
    """The state of a run as its checkpoint stores it: the lists to read, the position and the counts."""

    region: str
    pages: int
    #: The id of a provider and a kind of payment for each list.
    lists: list[tuple[int, str]]
    started_at: datetime
    position: int = 0
    page: int = 0
    result: ProviderSyncResult = field(default_factory=ProviderSyncResult)

    def to_json(self) -> dict[str, Any]:
        return {
            "region": self.region,
            "pages": self.pages,
            "lists": [list(each) for each in self.lists],
            "started_at": self.started_at.isoformat(),
            "position": self.position,
            "page": self.page,
            "counts": [self.result.offers, self.result.pages],
        }

    @classmethod
    def resume(cls, region: str, pages: int) -> _ProviderSync | None:
        """Return the run of the checkpoint if it has the same region and number of pages.

        None also if it began so long ago that its first offers no longer count in filters.
        """
        stored = load_checkpoint(NAME)
        if (stored.get("region"), stored.get("pages")) != (region, pages):
            return None
        started_at = datetime.fromisoformat(stored["started_at"])
        if timezone.now() - started_at > MAX_OFFERS_AGE:
            return None
        lists = [(provider_id, monetization) for provider_id, monetization in stored["lists"]]
        offers, read = stored["counts"]
        result = ProviderSyncResult(offers, read, resumed=True)
        return cls(region, pages, lists, started_at, stored["position"], stored["page"], result)


def region_offers_sync(
    *, region: str, pages: int, gateway: Gateway, report_progress: ReportProgress
) -> ProviderSyncResult:
    """Store the most popular movies of each provider of a region, at most `pages` pages of each list.

    A page that fails is counted as a failure, and its list goes on with the next. Raises
    SyncInterrupted, TmdbNotConfigured or TmdbAuthFailed.
    """
    run = _ProviderSync.resume(region, pages)
    if run is None:
        started_at = timezone.now()
        run = _ProviderSync(region, pages, _list_provider_lists(gateway, region), started_at)
    consecutive_failures = 0
    while run.position < len(run.lists):
        provider_id, monetization = run.lists[run.position]
        number = run.page + 1
        report_progress(f"lists of {region}", run.position, len(run.lists))
        request = make_provider_discover_request(
            page=number, region=region, provider_id=provider_id, monetization=monetization
        )
        page: SearchPage | None = None
        last_page = pages
        try:
            page = parse_search_page(gateway.fetch(request))
        except (TmdbNotConfigured, TmdbAuthFailed):
            raise
        except TmdbError as error:
            consecutive_failures += 1
            where = f"provider {provider_id} ({monetization}), page {number}"
            if consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
                raise SyncInterrupted(f"{where}: {error}") from error
            run.result.failures.add(f"{where}: {error}")
        else:
            consecutive_failures = 0
            last_page = min(last_page, page.total_pages)
        if number >= last_page:
            run.position, run.page = run.position + 1, 0
        else:
            run.page = number
        _store_page(run, page, Offer(region, monetization, provider_id))
    clear_checkpoint(NAME)
    expired_availability_delete()
    return run.result


def _list_provider_lists(gateway: Gateway, region: str) -> list[tuple[int, str]]:
    """Return each provider of a region with each kind of payment, after reading TMDb's list of them."""
    providers = parse_provider_list(gateway.fetch(make_providers_request()))
    if providers:
        provider_list_replace(providers=providers)
    return [
        (provider.pk, monetization)
        for provider in list_region_providers(region)
        for monetization in MONETIZATIONS
    ]


def _store_page(run: _ProviderSync, page: SearchPage | None, offer: Offer) -> None:
    """Store the movies of a page, their offer and the run's position in one transaction."""
    if page is None:
        # Not saved: a run that ends because TMDb is unavailable is continued at its first failure.
        return
    # Outside the transaction, because a genre's name may have to be fetched from TMDb.
    entries = select_catalogue_entries(page, cache.get_genre_names(page))
    movies = {movie.tmdb_id: movie for movie in entries.movies}
    run.result.pages += 1
    with long_transaction():
        known = get_movie_ids(tmdb_id for tmdb_id in movies if tmdb_id is not None)
        new = [movie for tmdb_id, movie in movies.items() if tmdb_id not in known]
        stored = {tmdb_id: result.movie.pk for tmdb_id, result in movies_store(new).items()}
        movie_ids: Sequence[int] = [*known.values(), *stored.values()]
        region_offers_add(
            region=run.region,
            keys_by_movie=dict.fromkeys(movie_ids, offer.key),
            run_started_at=run.started_at,
        )
        run.result.offers += len(movie_ids)
        save_checkpoint(NAME, run.to_json())
