"""Publishes to one key of a YAML file: ``yaml:PATH``, or ``yaml:PATH#KEY.PATH``.

``yaml_text`` decides what the file says, ``stamped`` and ``disk`` replace it.
"""

from __future__ import annotations

from typing import Final

from config.secret import Secret
from tasks.publishers._places.files import yaml_text
from tasks.publishers._places.files.in_file import FileOptions, options_from
from tasks.publishers._places.files.pointer import dotted_fragment, path_of_dotted
from tasks.publishers._places.files.stamped import StampedFile
from tasks.publishers._shared.about import About

ABOUT: Final = About(
    target="PATH#KEY.PATH",
    example="yaml:/srv/app/values.yaml?symlink=follow#openrouter.apiKey",
    happens="One key of a YAML file is replaced, atomically; without `#KEY.PATH` it is the one at the top that has the"
    " secret's name. Everything else stays byte for byte, comments and anchors too, and so do mode and owner; an alias"
    " to the value goes on following it. Mappings that are missing on the way are made, items of lists are not; a new"
    " file is 0600. Refused is a file of more than one document, of more than 256 KiB or 10,000 values, or that says a"
    " key twice. No tag is ever run. `.NAME.rotation` beside the file says which version it is: what rewrites YAML"
    " drops comments",
    auth="the worker's user must be able to write the file and its directory",
    proves="the key of the file holds the key",
    options=FileOptions,
    extra="yaml",
)


def open_publisher(target: Secret) -> StampedFile:
    """The publisher for PATH, made absolute, and KEY.PATH; raises ``InvalidInput``. The disk is not asked yet."""
    file, given, fragment = target.reveal().partition("#")
    options = options_from("yaml", FileOptions, file)
    if not given:
        return StampedFile("yaml", options, yaml_text)
    path = path_of_dotted(fragment)
    return StampedFile("yaml", options, yaml_text, path, f"#{dotted_fragment(path)}")
