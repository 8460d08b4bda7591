"""Publishes to one member of a JSON file: ``json:PATH``, or ``json:PATH#POINTER``.

``json_text`` decides what the file says, ``stamped`` and ``disk`` replace it.
"""

from __future__ import annotations

from typing import Final

from config.secret import Secret
from tasks.publishers._places.files import json_text
from tasks.publishers._places.files.in_file import FileOptions, options_from
from tasks.publishers._places.files.pointer import path_of_pointer, pointer_fragment
from tasks.publishers._places.files.stamped import StampedFile
from tasks.publishers._shared.about import About

ABOUT: Final = About(
    target="PATH#POINTER",
    example="json:/srv/app/config.json?symlink=follow#/openrouter/apiKey",
    happens="One member of a JSON file is replaced, atomically; without `#POINTER` (RFC 6901) it is the one at the top"
    " that has the secret's name. Everything else stays byte for byte, and so do mode and owner. Objects that are"
    " missing on the way are made, items of lists are not; a new file is 0600. What is not JSON, or says a name twice,"
    " is refused. `.NAME.rotation` beside the file says which version it is, because strict readers would refuse a"
    " member for that",
    auth="the worker's user must be able to write the file and its directory",
    proves="the member holds the key",
    options=FileOptions,
)


def open_publisher(target: Secret) -> StampedFile:
    """The publisher for PATH, made absolute, and POINTER; raises ``InvalidInput``. The file system is not asked yet."""
    file, given, fragment = target.reveal().partition("#")
    options = options_from("json", FileOptions, file)
    if not given:
        return StampedFile("json", options, json_text)
    path = path_of_pointer(fragment)
    return StampedFile("json", options, json_text, path, f"#{pointer_fragment(path)}")
