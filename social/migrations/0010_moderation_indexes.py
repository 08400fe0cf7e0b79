from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("social", "0009_moderation")]

    operations = [
        AddIndexConcurrently(
            "reviewreport", models.Index(fields=["author", "movie"], name="report_author_movie")
        ),
        AddIndexConcurrently("reviewreport", models.Index(fields=["movie"], name="report_movie")),
    ]
