"""The core: what a rotation is, which step comes next, and the shell that performs it over ports.

Everything here but ``engine`` is pure. No module here knows a database, a network or a queue.
"""
