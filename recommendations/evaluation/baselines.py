"""What the engine has to beat: popularity, item-kNN, and the first formula of this service.

Shapes: m movies of the catalogue, by place; u members in training.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from movies.weighted_rating import compute_weighted_rating
from recommendations.algorithms import heuristic as scoring
from recommendations.algorithms.content_similarity import content_similarity
from recommendations.algorithms.types import LIKED, MovieContent, Ratings, interest
from recommendations.evaluation.protocol import Answer, Known, Places, Progress
from recommendations.evaluation.splits import draw

#: Ratings that the community's mean counts for in a movie's chance of being liked.
PRIOR_RATINGS = 5.0
NEIGHBOURS = 100
#: Movies whose neighbours are looked for at once; bounds the memory.
MOVIES_AT_ONCE = 500


def matrix(
    ratings: Ratings, content: MovieContent
) -> tuple[sparse.csr_matrix, NDArray[np.integer]]:
    """(u, m) interest in the movies rated, and the members' ids."""
    members, rows = np.unique(ratings.users, return_inverse=True)
    columns = np.searchsorted(content.movie_ids, ratings.movies)
    values = interest(ratings.stars.astype(np.float64)).astype(np.float32)
    shape = (len(members), len(content))
    return sparse.csr_matrix((values, (rows, columns)), shape=shape), members


class Popularity:
    """The movies most rated; the chance is the movie's own, shrunk to the community's."""

    name = "popularity"

    def fit(self, ratings: Ratings, content: MovieContent, progress: Progress) -> None:
        places = np.searchsorted(content.movie_ids, ratings.movies)
        liked = ratings.stars >= LIKED
        mean = float(liked.mean()) if len(liked) else 0.5
        self._count = np.bincount(places, minlength=len(content)).astype(np.float64)
        likes = np.bincount(places, liked, len(content))
        self._chance = (likes + PRIOR_RATINGS * mean) / (self._count + PRIOR_RATINGS)

    def answer(self, known: Known, asked: Places) -> Answer:
        return Answer(self._count, self._chance[asked])


class ItemNeighbours:
    """Item-kNN: the sum, over the history, of the interest in a movie times its cosine.

    A movie keeps its NEIGHBOURS nearest. It ranks and has no chances. Source: Deshpande and Karypis,
    TOIS 2004.
    """

    name = "item-kNN"

    def fit(self, ratings: Ratings, content: MovieContent, progress: Progress) -> None:
        taste, _ = matrix(ratings, content)
        norms = np.sqrt(np.asarray(taste.multiply(taste).sum(axis=0)).ravel())
        scaled = (taste @ sparse.diags(1 / np.maximum(norms, 1e-9))).tocsc().astype(np.float32)
        by_movie = scaled.T.tocsr()
        parts = []
        for start in range(0, len(content), MOVIES_AT_ONCE):
            progress(f"{self.name}: neighbours", start / len(content))
            # A row a target; its own cosine is left out.
            cosine = (by_movie[start : start + MOVIES_AT_ONCE] @ scaled).tocsr()
            parts.append(_nearest(cosine, first=start, kept=NEIGHBOURS))
        self._weights = sparse.vstack(parts).T.tocsr() if parts else sparse.csr_matrix((0, 0))

    def answer(self, known: Known, asked: Places) -> Answer:
        if not len(known.movies):
            return Answer(np.zeros(self._weights.shape[1]), None)
        order = interest(known.stars) @ self._weights[known.movies]
        return Answer(np.asarray(order).ravel().astype(np.float64), None)


def _nearest(cosine: sparse.csr_matrix, *, first: int, kept: int) -> sparse.csr_matrix:
    """Each row's `kept` greatest entries but the diagonal; row 0 is movie `first`."""
    values, columns, starts = [], [], [0]
    for row in range(cosine.shape[0]):
        entries = slice(cosine.indptr[row], cosine.indptr[row + 1])
        places, weights = cosine.indices[entries], cosine.data[entries]
        others = places != first + row
        places, weights = places[others], weights[others]
        if len(weights) > kept:
            chosen = np.argpartition(-weights, kept)[:kept]
            places, weights = places[chosen], weights[chosen]
        values.append(weights)
        columns.append(places)
        starts.append(starts[-1] + len(weights))
    return sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), np.array(starts)), shape=cosine.shape
    )


class FirstFormula:
    """`signals-1` (recommendations.algorithms.heuristic), with its peers found in memory instead of by SQL.

    The formulas are the very functions that serve. What the SQL bounds is bounded alike (150 movies,
    300 raters of each, 400 members considered, 50 peers); where it takes the newest raters of a
    movie, this takes drawn ones, since a set of ratings has no newest.
    """

    name = "first formula"

    _MOVIES, _RATERS, _CONSIDERED, _PEERS = 150, 300, 400, 50
    _FROM_PEERS, _FROM_EACH_LIST = 250, 80
    _SALT = 6

    def fit(self, ratings: Ratings, content: MovieContent, progress: Progress) -> None:
        m = len(content)
        self._taste, self._members = matrix(ratings, content)
        places = np.searchsorted(content.movie_ids, ratings.movies)
        rows = np.searchsorted(self._members, ratings.users)
        self._stars = sparse.csr_matrix(
            (ratings.stars.astype(np.float64), (rows, places)), shape=self._taste.shape
        )
        self._activity = np.diff(self._taste.indptr)
        # Of each movie's raters a bounded number speaks for it.
        drawn = np.lexsort((draw(1, self._SALT, ratings.users, ratings.movies), places))
        starts = np.searchsorted(places[drawn], np.arange(m))
        few = drawn[np.arange(len(drawn)) - starts[places[drawn]] < self._RATERS]
        self._raters = sparse.csr_matrix(
            (interest(ratings.stars[few].astype(np.float64)), (places[few], rows[few])),
            shape=(m, len(self._members)),
        )
        count = np.bincount(places, minlength=m)
        total = (
            np.bincount(places, 2.0 * ratings.stars, m) + content.vote_average * content.vote_count
        )
        votes = (count + content.vote_count).astype(np.int64)
        mean = total / np.maximum(votes, 1)
        quality = [
            compute_weighted_rating(float(each), int(number))
            for each, number in zip(mean, votes, strict=True)
        ]
        reach = np.maximum(
            count / max(int(count.max(initial=1)), 1),
            content.vote_count / max(float(content.vote_count.max(initial=1)), 1.0),
        )
        self._movies = scoring.Movies(
            ids=content.movie_ids,
            genres=content.genres.astype(np.float64),
            years=content.years,
            quality=np.array(quality),
            votes=votes.astype(np.float64),
            reach=np.minimum(reach / 2, 0.5),
        )
        self._well_rated = np.argsort(-self._movies.quality, kind="stable")
        self._well_known = np.argsort(-count, kind="stable")

    def answer(self, known: Known, asked: Places) -> Answer:
        m, g = self._movies.genres.shape
        history = scoring.History(_rows(self._movies, known.movies), known.stars, np.zeros(g))
        votes = self._peer_votes(known, m)
        pool = self._candidates(known, votes)
        movies = np.concatenate([pool, asked])
        described = _rows(self._movies, movies)
        alike = content_similarity(
            described, history.movies, [{}] * len(movies), [{}] * len(history)
        )
        alike = np.where(movies[:, None] == known.movies[None, :], 0.0, alike)
        of_peers = scoring.PeerVotes(votes.weight[movies], votes.stars[movies], votes.feed[movies])
        percent = scoring.score(scoring.signals(history, described, alike, of_peers)).percent
        ranked = scoring.rank(percent, of_peers, described, len(history))
        order = np.full(m, -np.inf)
        order[pool] = ranked[: len(pool)]
        return Answer(order, percent[len(pool) :] / 100)

    def _peer_votes(self, known: Known, m: int) -> scoring.PeerVotes:
        if not len(known.movies):
            return scoring.PeerVotes.none(m)
        wants = interest(known.stars)
        chosen = np.argsort(-wants, kind="stable")[: self._MOVIES]
        weights = wants[chosen] / np.log(2 + self._movies.votes[known.movies[chosen]])
        shared = np.asarray(weights @ self._raters[known.movies[chosen]]).ravel()
        if known.member is not None:
            shared[self._members == known.member] = 0.0
        considered = np.argsort(-shared, kind="stable")[: self._CONSIDERED]
        alike = shared[considered] ** 2 / np.maximum(self._activity[considered], 1)
        nearest = np.argsort(-alike, kind="stable")[: self._PEERS]
        nearest = nearest[alike[nearest] > 0]
        if not len(nearest):
            return scoring.PeerVotes.none(m)
        peers = considered[nearest]
        share = alike[nearest] / alike[nearest].sum()
        stars = self._stars[peers]
        rated = stars.copy()
        rated.data = np.ones_like(rated.data)
        return scoring.PeerVotes(
            weight=np.asarray(share @ rated).ravel(),
            stars=np.asarray(share @ stars).ravel(),
            feed=np.asarray(share @ self._taste[peers]).ravel(),
        )

    def _candidates(self, known: Known, votes: scoring.PeerVotes) -> Places:
        unseen = np.ones(len(self._movies), dtype=bool)
        unseen[known.movies] = False
        spoken_for = np.flatnonzero((votes.feed > 0) & unseen)
        of_peers = spoken_for[np.argsort(-votes.feed[spoken_for], kind="stable")]
        found = [of_peers[: self._FROM_PEERS]]
        for each in (self._well_rated, self._well_known):
            # The list is long enough for what was seen to be passed over.
            front = each[: self._FROM_EACH_LIST + len(known.movies)]
            found.append(front[unseen[front]][: self._FROM_EACH_LIST])
        return np.unique(np.concatenate(found))


def _rows(movies: scoring.Movies, places: Places) -> scoring.Movies:
    return scoring.Movies(
        ids=movies.ids[places],
        genres=movies.genres[places],
        years=movies.years[places],
        quality=movies.quality[places],
        votes=movies.votes[places],
        reach=movies.reach[places],
    )
