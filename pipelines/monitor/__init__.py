"""A run measured while it goes on: samples, alerts, and metrics for Prometheus.

``monitor_run`` starts the thread that does it. What a sample exceeds is decided by ``thresholds``
alone, and ``alert_episodes`` makes one alert of each time that a metric stays beyond its limit.
"""
