"""The weighted rating: a movie's mean vote, shrunk towards the mean of all movies. Free of Django."""

from __future__ import annotations

# On TMDb's scale of 0 to 10. The mean vote of widely seen movies is between 6 and 7 in TMDb and in
# MovieLens. With 25 votes, a movie's own mean counts as much as the prior.
PRIOR_MEAN = 6.5
PRIOR_VOTES = 25.0


def compute_weighted_rating(
    mean: float, votes: int, *, prior_mean: float = PRIOR_MEAN, prior_votes: float = PRIOR_VOTES
) -> float:
    """Return the Bayesian mean of a movie's votes, on the scale of `mean`.

    (votes * mean + prior_votes * prior_mean) / (votes + prior_votes)

    Without votes it is the prior; with more and more votes it approaches `mean`. Raises ValueError
    for a negative count. Source: the weighted rating of IMDb's Top 250.
    """
    if votes < 0 or prior_votes < 0:
        raise ValueError(f"Counts must not be negative: votes={votes}, prior_votes={prior_votes}.")
    if votes == 0 and prior_votes == 0:
        return prior_mean
    return (votes * mean + prior_votes * prior_mean) / (votes + prior_votes)
