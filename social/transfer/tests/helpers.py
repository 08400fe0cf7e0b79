from movies.models import Movie
from social.models import Import, ImportRow


def make_ready_import(user, rows):
    """An import of that many ratings of films that are there, ready to be applied."""
    films = Movie.objects.bulk_create(
        Movie(title=f"Film {n}", sort_title=f"film {n}", release_year=2000) for n in range(rows)
    )
    made = Import.objects.create(
        user=user,
        format="letterboxd",
        sha256="x",
        state="ready",
        step="",
        total=rows,
        position=rows,
    )
    ImportRow.objects.bulk_create(
        ImportRow(
            of=made, number=n, file="r.csv", line=n, kind="rating", title=film.title,
            movie_id=film.pk, verdict="matched", values={"score": 4, "rated_at": None},
        )
        for n, film in enumerate(films, 1)
    )  # fmt: skip
    return made
