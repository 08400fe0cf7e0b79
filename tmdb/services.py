"""Writes to the catalogue of what TMDb says."""

from __future__ import annotations

from movies.models import Movie
from movies.services import Upserted, movies_upsert
from tmdb import cache
from tmdb.errors import TmdbError


def movie_import(*, tmdb_id: int, refresh: bool = False) -> Upserted:
    """Have the film of this TMDb id in the catalogue, brought up to date where it is stale.

    A film that is held is served as it is while TMDb is in trouble; for a new one TmdbError is
    raised. TMDb is asked outside of any transaction, so that its slowness holds no lock.
    """
    known = Movie.objects.filter(tmdb_id=tmdb_id).first()
    if known is not None and not (refresh or known.is_stale):
        return Upserted(known, created=False)
    try:
        facts = cache.movie(tmdb_id)
    except TmdbError:
        if known is None:
            raise
        return Upserted(known, created=False)
    return movies_upsert(facts=[facts], source=Movie.Source.TMDB)[0]
