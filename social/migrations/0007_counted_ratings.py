from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('social', '0006_reword_report_choices'),
    ]

    operations = [
        migrations.CreateModel(
            name='FiguresCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('checked_at', models.DateTimeField(auto_now_add=True)),
                ('movies', models.PositiveIntegerField(default=0)),
                ('playlists', models.PositiveIntegerField(default=0)),
                ('ratings', models.PositiveIntegerField(default=0)),
            ],
            options={'ordering': ['-id']},
        ),
        # The default is a constant, so that no row is written. The first check of the figures
        # (manage.py check_figures) finds the ratings of members who are not public.
        migrations.AddField(
            model_name='rating',
            name='is_counted',
            field=models.BooleanField(db_default=True, default=True, editable=False),
        ),
    ]
