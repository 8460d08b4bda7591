"""What the README says of our own API: its table is the code's, and its example does what it says."""

from __future__ import annotations

import re
import subprocess

from fastapi.routing import APIRoute

from tasks.store.tokens import Role
from tests.acceptance.readme import blocks, text
from tests.web.served import PATIENCE_S, Served
from worker.web.access.table import ROUTES
from worker.web.api.routers import ROUTERS
from worker.web.api.words import PREFIX

CALL = re.compile(r"`(GET|POST|PATCH|DELETE) (/[^`?]*)[^`]*`")
LEAST = (Role.CONSUMER, Role.VIEWER, Role.OPERATOR, Role.ADMIN)


def _rows() -> dict[tuple[str, str], str]:
    section = text().partition("### Our own routes\n")[2].partition("\n#")[0]
    cells = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {call: row[2].strip() for row in cells for call in CALL.findall(row[1])}


def test_the_table_names_each_route_and_the_least_role_that_will_do() -> None:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    told = {
        (method, route.path.removeprefix(PREFIX)): next(str(r) for r in LEAST if r in ROUTES[route.name].roles)
        for route in routes
        for method in route.methods or ()
    }
    assert _rows() == told


def test_a_role_may_do_what_the_one_before_may() -> None:
    for name, grant in ROUTES.items():
        if Role.CONSUMER not in grant.roles and grant.roles:
            assert grant.roles == set(LEAST[LEAST.index(min(grant.roles, key=LEAST.index)) :]), name


def test_the_application_of_the_readme_follows_its_key(web: Served) -> None:
    (block,) = (b for b in blocks() if b.elsewhere == ("tests/web/test_api_readme.py",))
    web.connect()
    web.rotation()
    script = block.text.replace("http://127.0.0.1:8765", web.url)
    (web.folder / "shop.header").write_text(f"Authorization: Bearer {web.token('consumer', 'web')}\n")
    application = subprocess.Popen(["bash", "-euc", script], cwd=web.folder, stdout=subprocess.PIPE, text=True)
    try:
        assert application.stdout is not None
        seen = []
        for version in (1, 2):
            assert application.stdout.readline() == "There is a new key in key.env.\n"
            seen.append((web.folder / "key.env").read_text())
            assert seen[-1] == f"OPENROUTER_API_KEY={web.operations.reveal_key('web').reveal()}\n"
            if version == 1:
                web.operations.rotate("web")
        assert seen[0] != seen[1]
        _revoke(web)
        application.wait(PATIENCE_S)
    finally:
        application.kill()
        application.communicate()


def _revoke(web: Served) -> None:
    """Whose token was revoked is refused at the next answer, which ends the loop."""
    (token,) = (t for t in web.operations.list_tokens() if t.role == "consumer")
    web.operations.revoke_token(token.name)
    web.operations.rotate("web")
