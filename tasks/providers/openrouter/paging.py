"""Reading a list page by page while others change it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from tasks.rotation.errors import Broken

MOST_PAGES: Final = 1_000
OVERLAP: Final = 10
"""Each page begins this many items before the end of the last: a deletion in between moves items up, and a key
that slipped past a sweep would be an orphan."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list, and how many it has in all, where the other side tells."""

    items: Sequence[Item]
    total: int | None = None


def every(fetch: Callable[[int], Page[Item]], identity: Callable[[Item], Hashable]) -> Iterator[Item]:
    """Each item once, in the order of the list; ``fetch`` gets an offset. Asks for no page before it is needed.

    It ends at a page with nothing new, or once ``total`` items were seen. A short page is no end: pages may be
    of any size. Raises ``Broken`` after 1,000 pages.
    """
    seen: set[Hashable] = set()
    offset = 0
    for _ in range(MOST_PAGES):
        page = fetch(offset)
        fresh = {identity(item): item for item in page.items if identity(item) not in seen}
        seen.update(fresh)
        yield from fresh.values()
        if not fresh or (page.total is not None and len(seen) >= page.total):
            return
        offset += max(1, len(page.items) - OVERLAP)
    raise Broken(f"OpenRouter's list does not end: {MOST_PAGES} pages were read.", "Ask OpenRouter's support.")
