import re

from prometheus_client import REGISTRY


def _value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_reads_their_age_and_calls_are_counted(api, db, tmdb_server):
    def figures():
        return (
            _value("nexus_tmdb_reads_total", outcome="misses"),
            _value("nexus_tmdb_reads_total", outcome="hits"),
            _value("nexus_tmdb_copy_age_seconds_count"),
            _value("nexus_tmdb_calls_total", outcome="ok"),
        )

    before = figures()
    for _ in range(3):
        assert api.get("/tmdb/search/?query=copper").status_code == 200
    assert [now - then for now, then in zip(figures(), before, strict=True)] == [1, 2, 2, 1]


def test_the_gate_is_looked_at_when_the_metrics_are_read(api, db, tmdb_server):
    api.get("/tmdb/search/?query=copper")
    text = api.get("/metrics").content.decode()
    assert 'nexus_tmdb_breaker_state{state="closed"} 1.0' in text
    assert 'nexus_tmdb_breaker_state{state="open"} 0.0' in text
    left = re.search(r"^nexus_tmdb_requests_left (\S+)$", text, re.MULTILINE)
    assert 0 < float(left[1]) < 30
    assert "nexus_tmdb_last_success_timestamp_seconds" in text
