"""``GET /metrics``: how everything stands, for Prometheus. ``table`` names the figures, ``collecting`` finds them."""
