"""Tokens on the command line: the text goes to stdout, alone, and nowhere else."""

from __future__ import annotations

import json

from tests.unit.cli.fake import CANARY, FakeOperations, Run

TEXT = f"rtk_0a1b2c3d4e5f_{CANARY}"


def test_a_new_token_is_alone_on_stdout_and_what_it_may_do_is_told_beside(run: Run, ops: FakeOperations) -> None:
    result = run("token", "create", "shop", "--role", "consumer", "--rotation", "web", "--expires", "90d")
    assert result.exit_code == 0
    assert result.stdout == TEXT
    assert "consumer of web, until 2027-02-19 03:00:00Z" in result.stderr
    assert "not shown again" in result.stderr
    assert CANARY not in result.stderr
    assert ops.asked == [("create_token", "shop", "consumer", ("web",), "90d")]


def test_as_json_the_token_is_a_field(run: Run) -> None:
    result = run("token", "create", "shop", "--role", "consumer", "--rotation", "web", "--json")
    made = json.loads(result.stdout)
    assert made["token"] == TEXT
    assert (made["name"], made["role"], made["rotations"]) == ("shop", "consumer", ["web"])
    assert result.stderr == ""


def test_a_role_is_asked_for(run: Run, ops: FakeOperations) -> None:
    result = run("token", "create", "shop")
    assert result.exit_code == 2
    assert "--role" in result.stderr
    assert ops.asked == []


def test_the_list_tells_all_but_the_token(run: Run) -> None:
    result = run("token", "list")
    shop, old, for_good = result.stdout.splitlines()[1:]
    assert shop.split()[:3] == ["shop", "consumer", "web"]
    assert "never" in shop
    assert old.split()[:2] == ["old", "admin"]
    assert "never" in for_good
    assert json.loads(run("token", "list", "--json").stdout)[0]["rotations"] == ["web"]
    assert CANARY not in result.output


def test_a_revoked_token_is_said_to_be(run: Run, ops: FakeOperations) -> None:
    result = run("token", "revoke", "shop")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "revoked" in result.stderr
    assert ops.asked == [("revoke_token", "shop")]
