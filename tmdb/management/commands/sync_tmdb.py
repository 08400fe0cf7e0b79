from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from movies.dto import FIRST_YEAR, LAST_YEAR
from tmdb.cache import batch_client
from tmdb.sync.base_command import KeepingCommand, day, number_between
from tmdb.sync.lists import LAST_PAGE, LISTS, NAME, Plan, tmdb_sync

DEFAULT_LISTS = "popular,top_rated,now_playing,upcoming"
DEFAULT_PAGES = 5


class Command(KeepingCommand):
    help = (
        "Store the films of TMDb's lists, and of its discover call by year, page by page. A run "
        "that was cut off is taken up by the next one with the same options."
    )
    name = NAME

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--lists",
            type=_lists,
            default=_lists(DEFAULT_LISTS),
            metavar="NAME,…",
            help=f"of {', '.join(LISTS)}, or none; default: all",
        )
        parser.add_argument(
            "--discover-years",
            type=_years,
            default=(),
            metavar="YEAR[-YEAR]",
            help="the most popular films of each of these years too",
        )
        parser.add_argument(
            "--pages",
            type=number_between(1, LAST_PAGE),
            default=DEFAULT_PAGES,
            help=f"of 20 films, of each list and year; default: {DEFAULT_PAGES}",
        )
        parser.add_argument(
            "--since", type=day, metavar="YYYY-MM-DD", help="only films released from this day on"
        )
        self.add_dry_run(parser)

    def work(self, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]
        done = tmdb_sync(
            plan=Plan(
                options["lists"], options["discover_years"], options["pages"], options["since"]
            ),
            client=batch_client(),
            progress=self.progress,
            dry_run=dry_run,
        )
        if done.resumed:
            self.stdout.write("A run that was cut off was taken up; its counts are included.")
        as_they_were = f", {done.unchanged:,} as they were" if dry_run else ""
        self.finish(
            f"{'Would store' if dry_run else 'Stored'}: films {done.created:,} new, "
            f"{done.updated:,} brought up to date{as_they_were}; {done.refused:,} entries not taken "
            f"(adult, video or unusable); {done.pages:,} pages",
            done.failures,
        )


def _lists(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    if names == ("none",):
        return ()
    for name in names:
        if name not in LISTS:
            raise ValueError(name)
    return names


def _years(text: str) -> tuple[int, ...]:
    first, _, last = text.partition("-")
    years = range(int(first), int(last or first) + 1)
    if not years or years[0] < FIRST_YEAR or years[-1] > LAST_YEAR:
        raise ValueError(text)
    return tuple(years)
