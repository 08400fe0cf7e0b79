"""The product's settings with the references of benchmarks.textbook beside its routes."""

from nexus.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.textbook"
