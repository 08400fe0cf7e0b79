from django.db import migrations, models
from django.db.models import Q

OLD_CONSTRAINT, NEW_CONSTRAINT = "import_file_once_at_a_time", "import_file_and_name_once"
CONDITION = "WHERE applied_at IS NULL AND NOT (state = 'failed')"


class Migration(migrations.Migration):
    # Each operation can be repeated after an interruption.
    atomic = False

    dependencies = [("social", "0026_left_out_of_imports")]

    operations = [
        migrations.RunSQL(
            f'DROP INDEX CONCURRENTLY IF EXISTS "{NEW_CONSTRAINT}"', migrations.RunSQL.noop
        ),
        migrations.RunSQL(
            f'CREATE UNIQUE INDEX CONCURRENTLY "{NEW_CONSTRAINT}" ON social_import'
            f" (user_id, sha256, filename) {CONDITION}",
            f'DROP INDEX CONCURRENTLY IF EXISTS "{NEW_CONSTRAINT}"',
            state_operations=[
                migrations.AddConstraint(
                    "import",
                    models.UniqueConstraint(
                        fields=("user", "sha256", "filename"),
                        condition=Q(applied_at__isnull=True) & ~Q(state="failed"),
                        name=NEW_CONSTRAINT,
                    ),
                )
            ],
        ),
        migrations.RunSQL(
            f'DROP INDEX CONCURRENTLY IF EXISTS "{OLD_CONSTRAINT}"',
            f'CREATE UNIQUE INDEX CONCURRENTLY "{OLD_CONSTRAINT}" ON social_import'
            f" (user_id, sha256) {CONDITION}",
            state_operations=[migrations.RemoveConstraint("import", OLD_CONSTRAINT)],
        ),
    ]
