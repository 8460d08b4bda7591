"""Our own API, under ``/api/rotator/v1``: everything that the command line can do to an installation, as JSON.

Answers are the views that ``--json`` prints, field for field; ``shapes`` makes their models from those very views, so
that the OpenAPI document cannot tell anything else. ``bodies`` is what may be sent.
"""
