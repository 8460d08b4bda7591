"""Values that nobody should send, and those that nearly could be meant."""

from __future__ import annotations

from hypothesis import strategies as st

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 10**20),
    st.floats(allow_nan=True),
    st.text(max_size=12),
    st.sampled_from(
        ["daily", "yearly", "global", "2030-01-01T00:00:00Z", "2030-01-01T00:00:00+01:00", "9999-12-31T23:59:59Z"]
    ),
    st.sampled_from(
        ["0000-00-00T00:00:00Z", "00000000-0000-4000-8000-000000000000", "a" * 64, "a" * 3000, "", "\0", 1e308]
    ),
)
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
