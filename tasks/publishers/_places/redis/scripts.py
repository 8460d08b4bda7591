"""What happens inside the server, where nobody comes between: each script looks at the stamp before it changes a thing.

KEYS are the key and its stamp. The value comes last, so that an error always means that the old one is still there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Final

from tasks.publishers._shared.stamp import stamp_of
from tasks.rotation.ports import Publication

PUBLISH: Final = """
local held, stamp = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
local value, new_stamp, channel, announcement, former = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ours = cjson.decode(new_stamp)
local known = {}
if stamp then
  local readable, parsed = pcall(cjson.decode, stamp)
  if not readable or type(parsed) ~= 'table' then return 'foreign' end
  known = parsed
end
if known.id and known.id ~= ours.id and known.id ~= former then return string.sub(stamp, 1, 512) end
if known.id == ours.id and (tonumber(known.sequence) or 0) > ours.sequence then return 'newer' end
-- First, because a server may refuse it, and then nothing was changed. Nobody can look before the script ends.
if held ~= value or known.version ~= ours.version then redis.call('PUBLISH', channel, announcement) end
redis.call('SET', KEYS[2], new_stamp)
redis.call('SET', KEYS[1], value)
return 'written'
"""
"""ARGV: value, stamp, channel, announcement, and the id of a rotation that may be succeeded. Any other's stamp is the
answer, and nothing is done. A SET drops
an expiry, also where nothing else changes: a key that vanishes is a gap."""

REHEARSE: Final = """
for _, key in ipairs(KEYS) do
  local present = redis.call('GET', key)
  redis.call('GETRANGE', key, 0, 0)
  redis.call('SET', key, '', present and 'NX' or 'XX')
end
return 'writable'
"""
"""Asks for every right that writing needs, and writes nothing: NX does nothing to what is there, XX to what is not."""

WITHDRAW: Final = """
local held, stamp = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if not stamp then return 'theirs' end
local readable, known = pcall(cjson.decode, stamp)
if not readable or type(known) ~= 'table' then return 'theirs' end
local ours = cjson.decode(ARGV[1])
if known.id ~= ours.id or (tonumber(known.sequence) or 0) > ours.sequence then return 'theirs' end
redis.call('DEL', KEYS[2])
if held and (held == ARGV[2] or redis.sha1hex(held) == known.sha1) then redis.call('DEL', KEYS[1]) end
return 'withdrawn'
"""
"""ARGV: stamp, value. Whatever is not this publication, or an earlier one of its rotation, stays; so does what is no
string: the first line fails for it. A value that is neither of the stamp nor this one is somebody else's, and stays."""


def note_of(publication: Publication, value: str) -> str:
    """The stamp, with a fingerprint that a script can make too, by which a value of somebody else is told from ours."""
    digest = hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest()
    return json.dumps({**asdict(stamp_of(publication)), "sha1": digest})


def announcement(publication: Publication) -> str:
    """What is told on the channel: the version, never the key."""
    return json.dumps({"rotation": publication.rotation_name, "version": publication.version})
