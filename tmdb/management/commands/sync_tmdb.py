"""Store the movies of TMDb's lists (tmdb.sync.lists), or a region's offers (tmdb.sync.providers)."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError

from movies.dto import FIRST_YEAR, LAST_YEAR
from movies.regions import find_nearest_regions, normalize_region
from movies.selectors import get_region_names
from tmdb.gateway import build_batch_gateway
from tmdb.sync.base_command import SyncCommand, make_integer_parser, parse_day
from tmdb.sync.lists import LAST_PAGE, LISTS, NAME, SyncPlan, movie_lists_sync
from tmdb.sync.providers import region_offers_sync

DEFAULT_PAGES = 5


class Command(SyncCommand):
    help = (
        "Store the movies of TMDb's lists and of its most popular movies by year, page by page. "
        "A run that was cut off is continued by the next one with the same options."
    )
    name = NAME

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--lists",
            type=_parse_lists,
            default=LISTS,
            metavar="NAME,…",
            help=f"lists to read, from {', '.join(LISTS)}; or none; default: all",
        )
        parser.add_argument(
            "--discover-years",
            type=_parse_years,
            default=(),
            metavar="YEAR[-YEAR]",
            help="also read the most popular movies of each of these years",
        )
        parser.add_argument(
            "--pages",
            type=make_integer_parser(1, LAST_PAGE),
            default=DEFAULT_PAGES,
            help=f"pages of 20 movies to read of each list and year; default: {DEFAULT_PAGES}",
        )
        parser.add_argument(
            "--since",
            type=parse_day,
            metavar="YYYY-MM-DD",
            help="store only movies released on this day or later",
        )
        parser.add_argument(
            "--providers",
            type=_parse_region,
            metavar="REGION",
            help="read what each provider of this region offers instead, such as DE; for the filter "
            "`provider` of lists",
        )
        self.add_dry_run_argument(parser)

    def run_sync(self, options: dict[str, Any]) -> None:
        if options["providers"]:
            self._sync_providers(options)
        else:
            self._sync_lists(options)

    def _sync_providers(self, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            raise CommandError("--dry-run does not work with --providers. Leave one of them out.")
        region = options["providers"]
        result = region_offers_sync(
            region=region,
            pages=options["pages"],
            gateway=build_batch_gateway(),
            report_progress=self.report_progress,
        )
        if result.resumed:
            self.stdout.write("Continued a run that was cut off; the counts include it.")
        self.report_summary(
            f"Stored {result.offers:,} offers in {region}; read {result.pages:,} pages",
            result.failures,
        )

    def _sync_lists(self, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]
        result = movie_lists_sync(
            plan=SyncPlan(
                options["lists"], options["discover_years"], options["pages"], options["since"]
            ),
            gateway=build_batch_gateway(),
            report_progress=self.report_progress,
            dry_run=dry_run,
        )
        if result.resumed:
            self.stdout.write("Continued a run that was cut off; the counts include it.")
        if dry_run:
            summary = (
                f"Would store {result.created:,} new movies and update {result.updated:,}; "
                f"{result.unchanged:,} are unchanged"
            )
        else:
            summary = f"Stored {result.created:,} new movies and updated {result.updated:,}"
        self.report_summary(
            f"{summary}; rejected {result.rejected:,} entries (adult, video or unreadable); read "
            f"{result.pages:,} pages",
            result.failures,
        )


def _parse_lists(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    if names == ("none",):
        return ()
    for name in names:
        if name not in LISTS:
            raise ArgumentTypeError(f"{name!r} is not a list; write {', '.join(LISTS)} or none")
    return names


def _parse_region(text: str) -> str:
    code, names = normalize_region(text), get_region_names()
    if code not in names:
        nearest = ", ".join(find_nearest_regions(text, names)) or "a code such as DE"
        raise ArgumentTypeError(f"{text!r} is not a region; write {nearest}")
    return code


def _parse_years(text: str) -> tuple[int, ...]:
    first, _, last = text.partition("-")
    try:
        years = range(int(first), int(last or first) + 1)
    except ValueError:
        years = range(0)
    if not years or years[0] < FIRST_YEAR or years[-1] > LAST_YEAR:
        raise ArgumentTypeError(
            f"{text!r} are not years from {FIRST_YEAR} to {LAST_YEAR}; write 1998 or 1998-2003"
        )
    return tuple(years)
