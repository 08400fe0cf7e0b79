from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("social", "0012_imports_in_the_task_worker")]

    operations = [
        AddIndexConcurrently(
            "import",
            models.Index(
                condition=models.Q(("step", ""), _negated=True),
                fields=["id"],
                name="import_unfinished",
            ),
        ),
        RemoveIndexConcurrently("import", "import_queue"),
        # The columns stay in the table; see 0012.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField("import", name)
                for name in ("attempts", "lease", "leased_until", "queued_at")
            ]
        ),
    ]
