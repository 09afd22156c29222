"""What an operator or the scheduler asks of rotation, and the answer as JSON.

The events are read in ``requests``, carried out and answered in ``answers``, and what is counted
of it is in ``metrics``.
"""

from machine_identity.commands.answers import FURTHEST, answer, record
from machine_identity.commands.metrics import command_counts, counts
from machine_identity.commands.requests import LONGEST_REASON, command

__all__ = ["FURTHEST", "LONGEST_REASON", "answer", "command", "command_counts", "counts", "record"]
