from django.apps import AppConfig


class TmdbConfig(AppConfig):
    name = "tmdb"
