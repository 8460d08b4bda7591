"""The HTTP API and the console: thin over ``tasks.operations``, each route's audience in one table (``access.table``).

``infisical`` speaks as Infisical's API does, so that scripts written for it work here; ``api`` is our own; ``console``
is for people with a browser; ``probes`` is for whoever watches. All four ask ``context.Web`` and raise the errors of
``tasks.rotation.errors``, which ``errors`` turns into answers.
"""
