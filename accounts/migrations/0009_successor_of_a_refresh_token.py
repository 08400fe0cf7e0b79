import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """A spent token has a successor, and the time of the database.

    Tokens that were spent before the update, or by the previous release, have no successor.
    """

    dependencies = [
        ("accounts", "0008_visible_text"),
    ]

    operations = [
        migrations.AddField(
            model_name="spentrefreshtoken",
            name="successor_jti",
            field=models.CharField(editable=False, max_length=64, null=True),
        ),
        migrations.RunSQL(
            "ALTER TABLE accounts_spentrefreshtoken"
            " ALTER COLUMN spent_at SET DEFAULT statement_timestamp()",
            "ALTER TABLE accounts_spentrefreshtoken ALTER COLUMN spent_at DROP DEFAULT",
            state_operations=[
                migrations.AlterField(
                    model_name="spentrefreshtoken",
                    name="spent_at",
                    field=models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                )
            ],
        ),
    ]
