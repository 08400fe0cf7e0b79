"""All that is chosen before a training, with the defaults that did best in validation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

#: Stored with each training; a training of another version is never read.
VERSION = "edlae-1"


@dataclass(frozen=True)
class Parameters:
    """What a training is made with; stored beside it."""

    neighbours: int = 100  # K: movies that may speak for a movie in the feed
    ridge: float = 50.0  # lambda
    dropout: float = 1 / 3  # p
    likeness_shrinkage: float = 20.0
    # What a movie says alone, for short histories: see neighbours.for_ranking.
    alone: float = 0.01
    alone_neighbours: int = 100
    alone_shrinkage: float = 5.0
    member_power: float = 0.3
    movie_power: float = 0.1
    taste_neighbours: int = 100
    taste_shrinkage: float = 20.0
    taste_power: float = 1.5
    bias_ridge: float = 5.0
    quality_prior: float = 5.0  # ratings that TMDb's (or the community's) mean counts for
    use_votes: bool = True  # TMDb's votes as a prior
    seed: int = 1

    @classmethod
    def for_size(cls, ratings: int, *, use_votes: bool = True) -> Parameters:
        """What was measured to do best at that many ratings.

        The ridge grows with the sums it stands against: 50 at a hundred thousand ratings, 300 at
        a million and more. Few members say more when those who rated much are scaled down less.
        What a movie says alone wins 2 to 5 % of nDCG for histories of 3 to 50 ratings (validation);
        with few members it is noisy, and more than 0.01 costs long histories as much.
        """
        decades = math.log10(max(ratings, 1) / 1e5)
        ridge = 50.0 * 6.0 ** min(max(decades, -1.0), 1.0)
        few = ratings < 300_000
        return cls(
            neighbours=100 if few else 200,
            member_power=0.2 if few else 0.3,
            alone=0.01 if few else 0.03,
            ridge=round(ridge, 1),
            use_votes=use_votes,
        )

    def scaled(self, share: float) -> Parameters:
        """For a share of the ratings: what stands against sums over members shrinks with them."""
        return replace(
            self,
            ridge=share * self.ridge,
            likeness_shrinkage=share * self.likeness_shrinkage,
            alone_shrinkage=share * self.alone_shrinkage,
            taste_shrinkage=share * self.taste_shrinkage,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Parameters:
        return cls(**values)
