from django.apps import AppConfig


class DevConfig(AppConfig):
    """`manage.py run` and the embedded servers; never installed in production."""

    name = "nexus.dev"
    label = "dev"
