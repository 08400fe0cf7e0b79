"""How good the engine is, measured beside baselines; only `datasets` knows Django. Start at protocol.py."""
