import re

from prometheus_client import REGISTRY


def read_counters():
    samples = [
        ("nexus_tmdb_reads_total", {"outcome": "misses"}),
        ("nexus_tmdb_reads_total", {"outcome": "hits"}),
        ("nexus_tmdb_copy_age_seconds_count", {}),
        ("nexus_tmdb_calls_total", {"outcome": "ok"}),
    ]
    return [REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in samples]


def test_reads_ages_and_requests_are_counted(api, db, tmdb_server):
    before = read_counters()

    for _ in range(3):
        assert api.get("/tmdb/search/?query=copper").status_code == 200

    increases = [now - then for now, then in zip(read_counters(), before, strict=True)]
    assert increases == [1, 2, 2, 1]


def test_scrape_reports_the_state_of_the_gateway(api, db, tmdb_server):
    api.get("/tmdb/search/?query=copper")

    text = api.get("/metrics").content.decode()

    assert 'nexus_tmdb_breaker_state{state="closed"} 1.0' in text
    assert 'nexus_tmdb_breaker_state{state="open"} 0.0' in text
    requests_left = re.search(r"^nexus_tmdb_requests_left (\S+)$", text, re.MULTILINE)
    assert 0 < float(requests_left[1]) < 30
    assert "nexus_tmdb_last_success_timestamp_seconds" in text
