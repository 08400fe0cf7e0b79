"""Everything that is chosen before a training, with the defaults that validation preferred."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

#: Stored with each training. A training of another version is never read.
VERSION = "edlae-2"

#: From here on a training ranks better than the default coefficients and empty lists, and scores as
#: well: docs/recommender.md, "Without a training".
MIN_RATINGS = 1_000
MAX_PRIOR_OBSERVATIONS = 1e5


@dataclass(frozen=True)
class Parameters:
    """What a training is made with; stored with it.

    The parts that an ablation switches off: `als_weight` 0, `recency_floor` 1, `trend_power` 0,
    `recent_popularity` False, `residual_factors` 0, `refit_level` False, `probability_floor` 0.
    """

    # Ranking: EDLAE (algorithms.neighbors).
    neighbors: int = 100  # K
    ridge: float = 50.0  # lambda
    dropout: float = 1 / 3  # p
    similarity_shrinkage: float = 20.0
    #: A source needs this many ratings to speak for other movies.
    min_source_ratings: int = 2
    # What one rated movie says alone, for short histories (algorithms.neighbors).
    pair_weight: float = 0.01
    pair_neighbors: int = 100
    pair_shrinkage: float = 5.0
    member_power: float = 0.3
    movie_power: float = 0.1
    # Ranking: implicit ALS (algorithms.factorization).
    als_factors: int = 32
    als_alpha: float = 10.0
    als_ridge: float = 30.0
    als_weight: float = 0.3
    # Ranking: time (algorithms.ranking, algorithms.item_stats).
    recency_floor: float = 0.4
    recency_scale: float = 15.0  # ratings
    trend_half_life_days: float = 120.0
    trend_smoothing: float = 0.3
    #: Ratings that the whole-time shares count for in what is recent.
    recent_prior: float = 100.0
    trend_power: float = 0.75
    recent_popularity: bool = True  # new members: popularity that decays within a year
    popularity_half_life_days: float = 365.0
    #: Movies with a lower probability of being liked are placed last.
    probability_floor: float = 0.3
    # Match score: neighbors by residuals, and their factorization.
    taste_neighbors: int = 100
    taste_shrinkage: float = 20.0
    taste_power: float = 1.5
    residual_factors: int = 24
    residual_ridge: float = 12.0
    bias_ridge: float = 5.0
    quality_prior: float = 5.0  # ratings that TMDb's (or the community's) mean counts for
    use_votes: bool = True  # TMDb's votes as a prior
    #: Observations that the default coefficients count for, from `enough_members` members on.
    prior_observations: float = 1000.0
    enough_members: int = 600
    refit_level: bool = True  # intercept and slope from the newest ratings
    seed: int = 1

    @classmethod
    def for_size(cls, ratings: int, *, use_votes: bool = True) -> Parameters:
        """Return what validation preferred at that many ratings.

        The ridge grows with the sums it stands against: 50 at a hundred thousand ratings, 300 at
        a million and more. In a small community the scaling by activity is weaker, and so is what
        one movie says alone, which is noisy there. At about a hundred thousand ratings implicit ALS
        counts less and the newest ratings more: 4 % better on each member's last tenth, 0.2 % worse
        on a split by hash (validation parts of latest-small).
        """
        decades = math.log10(max(ratings, 1) / 1e5)
        ridge = 50.0 * 6.0 ** min(max(decades, -1.0), 1.0)
        is_small = ratings < 300_000
        is_medium = is_small and ratings >= 50_000
        return cls(
            neighbors=100 if is_small else 200,
            member_power=0.2 if is_small else 0.3,
            pair_weight=0.01 if is_small else 0.03,
            ridge=round(ridge, 1),
            als_factors=32 if is_small else 64,
            als_ridge=30.0 if is_small else 60.0,
            als_weight=0.1 if is_medium else 0.3,
            recency_scale=8.0 if is_medium else 15.0,
            use_votes=use_votes,
        )

    def weigh_defaults(self, members: int) -> float:
        """Return how many observations the default coefficients count for.

        The fewer members there are, the more questions each of them answers, and the less these say
        about others: 11,000 observations at 120 members, 100,000 at 28 and fewer.
        """
        scarcity = max(self.enough_members / max(members, 1), 1.0)
        weight: float = self.prior_observations * scarcity**1.5
        return min(weight, MAX_PRIOR_OBSERVATIONS)

    def scaled(self, share: float) -> Parameters:
        """Return the parameters for a share of the ratings.

        What stands against sums over members shrinks with them.
        """
        return replace(
            self,
            ridge=share * self.ridge,
            similarity_shrinkage=share * self.similarity_shrinkage,
            pair_shrinkage=share * self.pair_shrinkage,
            taste_shrinkage=share * self.taste_shrinkage,
        )
