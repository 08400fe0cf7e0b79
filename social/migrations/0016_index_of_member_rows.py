import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("social", "0015_import_feedback")]

    operations = [
        AddIndexConcurrently(
            "importrow",
            models.Index(
                django.db.models.functions.text.Lower("title"),
                condition=models.Q(kind__in=("follow", "block")),
                name="import_row_member",
            ),
        )
    ]
