"""Store uploaded files in pieces, and leave imports to the task worker.

The former table of files and the columns of leases stay: the previous release reads them while
containers are replaced. It never takes an import of this release, whose lease does not end by default.
The next release can drop them.
"""

import django.db.models.deletion
from django.db import migrations, models


def copy_files(apps, schema_editor):
    """Store each file that is not read yet as one piece."""
    files = apps.get_model("social", "ImportFile").objects
    pieces = apps.get_model("social", "ImportFilePiece").objects
    for file in files.iterator(chunk_size=1):
        pieces.create(of_id=file.of_id, number=0, content=file.content)


def drop_foreign_key(apps, schema_editor):
    """Let imports be deleted whose file is in the former table."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "social_importfile")
    for name, constraint in constraints.items():
        if constraint["foreign_key"]:
            schema_editor.execute(
                f"ALTER TABLE social_importfile DROP CONSTRAINT {schema_editor.quote_name(name)}"
            )


class Migration(migrations.Migration):
    dependencies = [("social", "0011_existing_moderation")]

    operations = [
        migrations.CreateModel(
            name="ImportFilePiece",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("content", models.BinaryField()),
                (
                    "of",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pieces",
                        to="social.import",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("of", "number"), name="import_file_piece_number")
                ],
            },
        ),
        migrations.RunPython(copy_files, migrations.RunPython.noop),
        migrations.RunPython(drop_foreign_key, migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("ImportFile")]),
        migrations.RunSQL(
            "ALTER TABLE social_import ALTER COLUMN attempts SET DEFAULT 0,"
            " ALTER COLUMN leased_until SET DEFAULT 'infinity',"
            " ALTER COLUMN queued_at SET DEFAULT now()",
            "ALTER TABLE social_import ALTER COLUMN attempts DROP DEFAULT,"
            " ALTER COLUMN leased_until DROP DEFAULT, ALTER COLUMN queued_at DROP DEFAULT",
        ),
    ]
