"""${message}"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
works_with = ${repr(down_revision)}
"""The oldest schema whose release still works on this one; at least the release before has to."""
reversible = False
"""Whether the way down loses nothing, whatever was written meanwhile."""


def upgrade() -> None:
    """Say what changes."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Say what is taken back."""
    ${downgrades if downgrades else "pass"}
