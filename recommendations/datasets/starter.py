"""Load and remove the starter catalogue and its sample community.

The members are generated (datasets.synthetic_community) and marked by their origin and names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from django.contrib.auth.hashers import make_password
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import User
from movies.dto import FIRST_OWN_COLLECTION_ID, CollectionData, MovieData, PersonData
from movies.models import Collection, Movie
from movies.selectors import find_movies_in_use
from movies.services.catalogue import movies_remove
from nexus.core.db.advisory_locks import AdvisoryLock, acquire_transaction_lock
from nexus.core.db.transactions import long_transaction
from nexus.core.genres import sort_genres
from recommendations.datasets.bulk_loading import (
    StagedRating,
    Written,
    movies_load,
    movies_recount,
    ratings_stage,
    ratings_write,
)
from recommendations.datasets.synthetic_community import (
    MEMBERS,
    SampleMember,
    generate_community,
)
from social.models import Playlist, Rating
from social.services.figures import ratings_recount
from social.services.playlists import playlist_create

MOVIES_FILE = Path(__file__).resolve().with_name("starter_movies.jsonl")
BIO = "A made-up member of the sample community."


class MoviesFileError(Exception):
    """The file of starter movies cannot be used; the message names the line."""


@dataclass
class Loaded:
    """The result of a load, or of a dry run."""

    movies: Written = field(default_factory=Written)
    members_created: int = 0
    members_known: int = 0
    ratings: int = 0
    reviews: int = 0
    playlists: int = 0
    #: Sample members that are left out, because a registered member has their name.
    names_taken: list[str] = field(default_factory=list)

    @property
    def changed_anything(self) -> bool:
        return bool(self.movies or self.members_created)


@dataclass
class Removed:
    """The result of a removal; the starter movies that stay are counted by the reason."""

    members: int = 0
    ratings: int = 0
    playlists: int = 0
    movies: int = 0
    people: int = 0
    movies_kept: dict[str, int] = field(default_factory=dict)


def read_movies(path: Path = MOVIES_FILE) -> list[MovieData]:
    """Return the starter movies, from most to least widely known. Raises MoviesFileError."""
    movies = []
    try:
        with path.open(encoding="utf-8") as file:
            for line, text in enumerate(file, start=1):
                try:
                    movies.append(_facts(json.loads(text)))
                except (KeyError, TypeError, ValueError) as error:
                    raise MoviesFileError(f"{path}, line {line}: {error!r}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise MoviesFileError(f"{path} cannot be read: {error}") from error
    return movies


def _facts(movie: dict[str, object]) -> MovieData:
    return MovieData(
        title=_text(movie["title"]),
        tmdb_id=_integer(movie["tmdb_id"]),
        imdb_id=_text(movie["imdb_id"]),
        original_title=_text(movie["original_title"]),
        original_language=_text(movie["original_language"]),
        release_date=date.fromisoformat(_text(movie["release_date"])),
        runtime=_integer(movie["runtime"]),
        genres=tuple(sort_genres(_texts(movie["genres"]))),
        directors=tuple(PersonData(name) for name in _texts(movie["directors"])),
        cast=tuple(PersonData(name) for name in _texts(movie["cast"])),
        collection=_parse_collection(movie.get("collection")),
    )


def _parse_collection(collection: object) -> CollectionData | None:
    if collection is None:
        return None
    if not isinstance(collection, dict):
        raise TypeError(f"{collection!r} is not a collection")
    number = _integer(collection["id"])
    return CollectionData(FIRST_OWN_COLLECTION_ID + number, _text(collection["name"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return [_text(each) for each in value]


def starter_load(
    *, path: Path = MOVIES_FILE, members: int = MEMBERS, dry_run: bool = False
) -> Loaded:
    """Load the starter movies and the sample community; rows that exist are not changed.

    Raises MoviesFileError before anything is written.
    """
    movies = read_movies(path)
    loaded = Loaded()
    movie_ids, loaded.movies = movies_load(
        movies=movies, source=Movie.Source.STARTER, dry_run=dry_run
    )
    _store_community(
        generate_community(movies, members=members), movie_ids, loaded, dry_run=dry_run
    )
    if not dry_run:
        # Even if nothing changed: a load that was killed may have left its movies uncounted.
        for _ in movies_recount(sorted(set(movie_ids))):
            pass
    return loaded


def _store_community(
    sample: Sequence[SampleMember], movie_ids: Sequence[int], loaded: Loaded, *, dry_run: bool
) -> None:
    """Store the missing members with all they own, in one transaction."""
    with long_transaction():
        acquire_transaction_lock(AdvisoryLock.SAMPLE_MEMBERS)
        known = dict(
            User.objects.annotate(folded=Lower("username"))
            .filter(folded__in=[member.username for member in sample])
            .values_list("folded", "origin")
        )
        missing = [member for member in sample if member.username not in known]
        loaded.members_created = len(missing)
        loaded.members_known = sum(origin == User.Origin.SAMPLE for origin in known.values())
        loaded.names_taken = sorted(
            name for name, origin in known.items() if origin != User.Origin.SAMPLE
        )
        loaded.ratings = sum(len(member.ratings) for member in missing)
        loaded.reviews = sum(bool(each.review) for member in missing for each in member.ratings)
        loaded.playlists = sum(len(member.playlists) for member in missing)
        if missing and not dry_run:
            _write(missing, movie_ids)


def _write(sample: Sequence[SampleMember], movie_ids: Sequence[int]) -> None:
    now = timezone.now()
    users = User.objects.bulk_create(
        User(
            username=member.username,
            origin=User.Origin.SAMPLE,
            password=make_password(None),
            display_name=member.display_name,
            bio=BIO,
            favorite_genres=list(member.favorite_genres),
            date_joined=now - member.joined,
        )
        for member in sample
    )
    ratings = [
        StagedRating(user.pk, movie_ids[each.movie], each.score, each.review, now - each.age)
        for user, member in zip(users, sample, strict=True)
        for each in member.ratings
    ]
    ratings_stage(ratings)
    ratings_write()
    for user, member in zip(users, sample, strict=True):
        for each in member.playlists:
            movies = [movie_ids[place] for place in each.movies]
            made = playlist_create(owner=user, name=each.name, movie_ids=movies)
            _set_dates(made, now - each.age)


def _set_dates(playlist: Playlist, at: datetime) -> None:
    Playlist.objects.filter(id=playlist.id).update(created_at=at, published_at=at, updated_at=at)


def sample_remove(*, keep_movies: bool = False, dry_run: bool = False) -> Removed:
    """Delete the sample members with all they own, and the starter movies nobody else uses.

    A movie stays if TMDb or an admin has taken it over, or if a member's rows refer to it. A dry run
    does all of it and rolls it back.
    """
    removed = Removed()
    with long_transaction():
        acquire_transaction_lock(AdvisoryLock.SAMPLE_MEMBERS)
        sample = User.objects.filter(origin=User.Origin.SAMPLE)
        rated = set(Rating.objects.filter(user__in=sample).values_list("movie_id", flat=True))
        counts = sample.delete()[1]
        removed.members = counts.get(User._meta.label, 0)
        removed.ratings = counts.get(Rating._meta.label, 0)
        removed.playlists = counts.get(Playlist._meta.label, 0)
        if not keep_movies:
            _remove_movies(removed)
        ratings_recount(movie_ids=sorted(rated))
        if dry_run:
            transaction.set_rollback(True)
    return removed


def _remove_movies(removed: Removed) -> None:
    acquire_transaction_lock(AdvisoryLock.CATALOGUE_WRITE)
    # Locked, so that nobody rates or lists a movie between the check and the removal.
    candidates = set(
        Movie.objects.filter(source=Movie.Source.STARTER)
        .select_for_update()
        .values_list("id", flat=True)
    )
    in_use = find_movies_in_use(candidates)
    removed.movies_kept = {f"in members' {what}": len(ids) for what, ids in in_use.items()}
    free = candidates.difference(*in_use.values())
    gone = movies_remove(movie_ids=free)
    removed.movies, removed.people = gone.movies, gone.people
    Collection.objects.filter(tmdb_id__gte=FIRST_OWN_COLLECTION_ID, movie=None).delete()
    ids = [movie.tmdb_id for movie in read_movies(MOVIES_FILE)]
    taken_over = Movie.objects.filter(tmdb_id__in=ids).exclude(source=Movie.Source.STARTER)
    for source, number in taken_over.values_list("source").annotate(models.Count("id")):
        label = Movie.Source(source).label
        removed.movies_kept[f"since taken over ({label})"] = number
