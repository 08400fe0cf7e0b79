from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="LimitWindow",
            fields=[
                ("key", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("used", models.PositiveIntegerField()),
                ("closes_at", models.DateTimeField(db_index=True)),
            ],
        ),
        # New and empty, so that this rewrites nothing.
        migrations.RunSQL(
            "ALTER TABLE core_limitwindow SET UNLOGGED",
            "ALTER TABLE core_limitwindow SET LOGGED",
        ),
    ]
