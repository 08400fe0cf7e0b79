"""Fields of query parameters and bodies that name what TMDb's configuration lists contain."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.availability import MONETIZATIONS
from movies.dto import MAX_TMDB_ID
from movies.regions import find_nearest_regions, normalize_region
from movies.selectors import get_region_names
from nexus.core.api.fields import StrictCharField, StrictIntegerField
from nexus.core.api.query_params import MAX_FILTER_VALUES, DistinctListField


class RegionField(StrictCharField):
    """The ISO 3166-1 code of a region that TMDb knows; errors name the nearest ones."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 40)
        kwargs.setdefault("help_text", "ISO 3166-1 code of a country or territory, such as `DE`.")
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        code, names = normalize_region(text), get_region_names()
        if code in names or not code:
            return code
        nearest = [f"{each} ({names[each]})" for each in find_nearest_regions(text, names)]
        hint = f"Did you mean {', '.join(nearest)}?" if nearest else "Use a code such as DE or US."
        raise serializers.ValidationError(f"Unknown region {text!r}. {hint}")


class AlternativesField(DistinctListField):
    """Different values, any of which will do, in one parameter: `8|337`."""

    def to_internal_value(self, data: Any) -> list[Any]:
        return super().to_internal_value(data.split("|") if isinstance(data, str) else data)


class ProviderListField(AlternativesField):
    child = StrictIntegerField(
        min_value=1,
        max_value=MAX_TMDB_ID,
        error_messages={"invalid": "This is not a provider's id. Send ids separated by |: 8|337."},
    )

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(
            "help_text",
            f"TMDb's ids of providers, of which one must offer the movie: `8|337`, at most "
            f"{MAX_FILTER_VALUES}. Needs `region`. Offers that were last seen over 7 days ago do not "
            "count. Data by JustWatch.",
        )
        super().__init__(**kwargs)


class MonetizationListField(AlternativesField):
    child = serializers.ChoiceField(choices=MONETIZATIONS)

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(
            "help_text",
            f"Kinds of offers that count, separated by `|`: {', '.join(MONETIZATIONS)}; "
            "by default all.",
        )
        super().__init__(**kwargs)
