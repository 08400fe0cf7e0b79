"""The service's settings with the reference views of benchmarks.textbook added to its routes."""

from nexus.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.textbook"
