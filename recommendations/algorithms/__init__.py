"""The engine's maths, free of Django and of I/O. Begin at model.py."""
