"""Means of votes that few votes cannot carry far. Free of Django."""

from __future__ import annotations

# On TMDb's scale of 0 to 10. The mean vote of widely seen films lies between 6 and 7 in TMDb and
# MovieLens alike; 25 votes are what it takes for a film's own mean to count as much as that.
PRIOR_MEAN = 6.5
PRIOR_VOTES = 25.0


def weighted_rating(
    mean: float, votes: int, *, prior_mean: float = PRIOR_MEAN, prior_votes: float = PRIOR_VOTES
) -> float:
    """Bayesian mean of a film's votes, on the scale of `mean`.

    (votes * mean + prior_votes * prior_mean) / (votes + prior_votes)

    With no votes it is the prior; as votes grow it tends to `mean`.
    Raises ValueError where a count is negative.
    Source: the weighted rating of IMDb's Top 250.
    """
    if votes < 0 or prior_votes < 0:
        raise ValueError(f"Counts must not be negative: votes={votes}, prior_votes={prior_votes}.")
    if votes == 0 and prior_votes == 0:
        return prior_mean
    return (votes * mean + prior_votes * prior_mean) / (votes + prior_votes)
