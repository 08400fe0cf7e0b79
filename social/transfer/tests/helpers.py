import io
import zipfile

from django.core.files.uploadedfile import SimpleUploadedFile

from movies.models import Movie
from nexus.dev.jobs import run_waiting_jobs
from social.models import Import, ImportRow


def make_zip(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def upload(client, content, name="export.csv"):
    """Return the response to an upload; nothing has been read yet."""
    content = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile(name, content, content_type="application/octet-stream")
    return client.post("/imports/", {"file": file}, format="multipart")


def upload_and_read(client, content, name="export.csv"):
    """Return the import of a file once it is read, with up to a hundred rows."""
    response = upload(client, content, name)
    assert response.status_code == 201, response.json()
    assert run_waiting_jobs() == []
    return client.get(f"/imports/{response.json()['id']}/?page_size=100").json()


def run_action(client, job, action, **body):
    """Apply or undo an import, and return it afterwards."""
    response = client.post(f"/imports/{job['id']}/{action}/", body)
    assert response.status_code == 202, response.json()
    assert run_waiting_jobs() == []
    return client.get(f"/imports/{job['id']}/?page_size=100").json()


def make_ready_import(user, rows):
    """Return an import that is ready to be applied, with a rating of 4 for each of new movies."""
    movies = Movie.objects.bulk_create(
        Movie(title=f"Film {n}", sort_title=f"film {n}", release_year=2000) for n in range(rows)
    )
    job = Import.objects.create(
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
            of=job, number=n, file="r.csv", line=n, kind="rating", title=movie.title,
            movie_id=movie.pk, verdict="matched", values={"score": 4, "rated_at": None},
        )
        for n, movie in enumerate(movies, 1)
    )  # fmt: skip
    return job
