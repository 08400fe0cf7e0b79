from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("social", "0028_calendar_feed")]

    operations = [
        migrations.AddField(
            "viewing", "scrobble_token_id", models.BigIntegerField(editable=False, null=True)
        ),
    ]
