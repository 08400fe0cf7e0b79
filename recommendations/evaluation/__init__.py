"""How good the engine is, measured beside baselines; free of Django but for `sources`. Begin at protocol.py."""
