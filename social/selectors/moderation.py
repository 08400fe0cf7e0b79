"""What moderators need to know to decide about a review."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from social.models import HiddenReview, Rating, ReviewReport

MAX_HIDDEN_REVIEWS = 20


@dataclass(frozen=True)
class HiddenReviewText:
    """A hidden review of a member, with its text: the present one, or else the reported one."""

    title: str
    hidden_at: datetime
    review: str


def list_hidden_reviews(*, author_id: int, except_movie_id: int) -> list[HiddenReviewText]:
    """Return the member's latest hidden reviews of other movies; three queries."""
    hidden = HiddenReview.objects.filter(user_id=author_id).exclude(movie_id=except_movie_id)
    latest = list(hidden.select_related("movie").order_by("-hidden_at", "-id")[:MAX_HIDDEN_REVIEWS])
    movie_ids = [row.movie_id for row in latest]
    reports = ReviewReport.objects.filter(author_id=author_id, movie_id__in=movie_ids)
    ratings = Rating.objects.filter(user_id=author_id, movie_id__in=movie_ids).exclude(review="")
    texts = {
        **dict(reports.order_by("id").values_list("movie_id", "review")),
        **dict(ratings.values_list("movie_id", "review")),
    }
    return [
        HiddenReviewText(row.movie.title, row.hidden_at, texts.get(row.movie_id, ""))
        for row in latest
    ]
