"""The movies that speak for a movie: in the ranking by a ridge, in the chance by shared residuals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommendations.algorithms import edlae
from recommendations.algorithms import encoding as encode
from recommendations.algorithms.encoding import Encoded
from recommendations.algorithms.gram import BLOCK, Gram
from recommendations.algorithms.types import Array, Floats, Ids, Neighbours, Places, positions

# Blocks in work at a time; each is a thread, with BLAS held to one so that they do not fight.
WORKERS = 2
#: For a block of targets: how many neighbours each has (b,), and one after the other their places
#: among the sources and their weights.
Block = tuple[NDArray[np.int64], NDArray[np.intp], Floats]
Told = Callable[[float], None]


def likeness(products: Floats, of_targets: Floats, of_sources: Floats, shrinkage: float) -> Floats:
    """(b, s) g_ij / (sqrt(g_ii g_jj) + shrinkage)."""
    norms = np.sqrt(of_targets)[:, None] * np.sqrt(of_sources)[None, :]
    norms += np.float32(shrinkage)
    shrunk: Floats = products / norms
    return shrunk


def nearest(alike: Floats, k: int) -> NDArray[np.intp]:
    """(b, k) For each row the places of the k greatest, ascending; never all: one is itself."""
    s = alike.shape[1]
    k = min(k, s - 1)
    if k < 1:
        return np.zeros((len(alike), 0), dtype=np.intp)
    return np.sort(np.argpartition(alike, s - k, axis=1)[:, s - k :], axis=1)


def for_ranking(
    given: Encoded,
    sources: Places,
    targets: Places,
    *,
    k: int,
    ridge: float,
    dropout: float,
    shrinkage: float,
    alone: float,
    alone_k: int,
    alone_shrinkage: float,
    member_power: float,
    movie_power: float,
    told: Told,
) -> Neighbours:
    """By target: what interest in each neighbour says of it, the scales folded in.

    The ridge's weights are what a movie says beside many others. Of a short history, which has few
    others, a movie says more: `alone` times g_ij / (g_jj + alone_shrinkage), the share of those
    interested in j who are so in i (the ridge's own limit where dropout takes all other movies), is
    added for the `alone_k` movies j that say most so.
    """
    of_members = encode.member_scale(given, member_power)
    of_movies = encode.movie_scale(given, movie_power)
    scaled = encode.weights(given) * of_members[given.users] * of_movies[given.movies]
    gram = Gram(given.matrix(scaled), sources)
    among = gram.among_sources()
    diagonal = gram.diagonal[sources]
    told(0.3)

    def block(places: Places) -> Block:
        products = _rows(gram, among, places)
        alike = likeness(products, gram.diagonal[places], diagonal, shrinkage)
        _never_itself(alike, sources, places)
        chosen = nearest(alike, k)
        weights = edlae.solved(among, products, chosen, diagonal, ridge=ridge, dropout=dropout)
        # A movie nobody rated together with the target was only drawn to fill the number.
        weights *= np.take_along_axis(alike, chosen, axis=1) > 0
        said = np.zeros_like(products)
        np.put_along_axis(said, chosen, weights * of_movies[sources][chosen], axis=1)
        share = products / (diagonal + np.float32(alone_shrinkage))
        _never_itself(share, sources, places)
        most = nearest(share, alone_k)
        by_itself = np.maximum(np.take_along_axis(share, most, axis=1), np.float32(0))
        by_itself *= np.float32(alone)
        np.put_along_axis(said, most, np.take_along_axis(said, most, axis=1) + by_itself, axis=1)
        return _without_zeros(said)

    return _lists(given, sources, targets, block, lambda share: told(0.3 + 0.7 * share))


def for_taste(
    given: Encoded,
    sources: Places,
    targets: Places,
    residuals: Array,
    *,
    k: int,
    shrinkage: float,
    power: float,
    told: Told,
) -> Neighbours:
    """By target: the movies whose residuals go with its own, by shrunk cosine to a power."""
    gram = Gram(given.matrix(residuals.astype(np.float32)), sources)
    diagonal = gram.diagonal[sources]

    def block(places: Places) -> Block:
        alike = likeness(gram.rows(places), gram.diagonal[places], diagonal, shrinkage)
        _never_itself(alike, sources, places)
        chosen = nearest(alike, k)
        cosine = np.maximum(np.take_along_axis(alike, chosen, axis=1), np.float32(0))
        said = np.zeros_like(alike)
        np.put_along_axis(said, chosen, cosine ** np.float32(power), axis=1)
        return _without_zeros(said)

    return _lists(given, sources, targets, block, told)


def _rows(gram: Gram, among: Floats, places: Places) -> Floats:
    """(b, s) products: from what is there already, as far as the targets are sources."""
    at, held = positions(gram.sources, places)
    if held.all():
        return among[at]
    products = np.empty((len(places), len(gram.sources)), dtype=np.float32)
    products[held] = among[at[held]]
    products[~held] = gram.rows(places[~held])
    return products


def _without_zeros(said: Floats) -> Block:
    """Of (b, s) weights those that are not 0."""
    rows, columns = np.nonzero(said)
    return np.bincount(rows, minlength=len(said)), columns, said[rows, columns]


def _never_itself(alike: Floats, sources: Places, places: Places) -> None:
    at, held = positions(sources, places)
    alike[np.flatnonzero(held), at[held]] = -1.0


def _lists(
    given: Encoded,
    sources: Places,
    targets: Places,
    block: Callable[[Places], Block],
    told: Told,
) -> Neighbours:
    """The blocks put together; movies that are no target have an empty list."""
    starts = range(0, len(targets), BLOCK)
    counts = np.zeros(given.shape[1], dtype=np.int64)
    movies: list[Ids] = []
    weights: list[Floats] = []
    done = 0
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(WORKERS) as pool:
        for start, (each, chosen, heavy) in zip(
            starts,
            _few_ahead(pool, block, [targets[at : at + BLOCK] for at in starts]),
            strict=True,
        ):
            places = targets[start : start + BLOCK]
            counts[places] = each
            movies.append(given.movie_ids[sources[chosen]])
            weights.append(heavy.astype(np.float32))
            done += len(places)
            told(done / len(targets))
    return Neighbours(
        starts=np.concatenate(([0], np.cumsum(counts))),
        movies=np.concatenate([*movies, np.zeros(0, dtype=np.int64)]),
        weights=np.concatenate([*weights, np.zeros(0, dtype=np.float32)]),
    )


def _few_ahead(
    pool: ThreadPoolExecutor, block: Callable[[Places], Block], work: list[Places]
) -> Iterator[Block]:
    """Results in order, with no more blocks begun than there are workers: memory stays bounded."""
    running = [pool.submit(block, places) for places in work[:WORKERS]]
    for at in range(len(work)):
        result = running.pop(0).result()
        if at + WORKERS < len(work):
            running.append(pool.submit(block, work[at + WORKERS]))
        yield result


def residuals(given: Encoded, mean: float, of_users: Array, of_movies: Array) -> Array:
    """(r,) stars beyond what the movie and the member let expect."""
    above: Array = given.stars - mean - of_users[given.users] - of_movies[given.movies]
    return above


def transposed(lists: Neighbours, ids: Ids) -> sparse.csr_array:
    """(m, m) by source: row i holds what movie i speaks for."""
    sources, _ = positions(ids, lists.movies)
    by_target = sparse.csr_array((lists.weights, sources, lists.starts), shape=(len(ids), len(ids)))
    return by_target.T.tocsr()
