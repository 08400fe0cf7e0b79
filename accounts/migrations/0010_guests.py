from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Guests. No stored row violates the constraint, because none is a guest yet."""

    dependencies = [("accounts", "0009_successor_of_a_refresh_token")]

    operations = [
        # Choices are not in the database.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="user",
                    name="origin",
                    field=models.CharField(
                        choices=[
                            ("registered", "registered"),
                            ("guest", "guest, not registered yet"),
                            ("sample", "made-up sample member"),
                            ("movielens", "imported from MovieLens"),
                        ],
                        default="registered",
                        max_length=10,
                    ),
                ),
            ]
        ),
        AddConstraintNotValid(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=~Q(origin="guest") | Q(visibility="private"),
                name="user_guest_is_private",
                violation_error_message="A guest is private.",
            ),
        ),
    ]
