from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns for verified e-mail addresses. 0012 fills them for the users who exist."""

    dependencies = [
        ("accounts", "0010_guests"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="email_verified",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="user",
            name="pending_email",
            field=models.EmailField(blank=True, db_default="", default="", max_length=254),
        ),
    ]
