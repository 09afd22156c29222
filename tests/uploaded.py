"""What the evidence may hold of a server to which keys are brought, as data."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from machine_identity import uploads
from machine_identity.keyring import Keyring
from machine_identity.testimony import Certified, Listing, Testimony, Trial, Upload
from machine_identity.uploads import Site
from tests.keyrings import DAY, SECOND, START, active, ring, standby

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ZERO = timedelta()
SITE = Site(
    client="default", registration="there", unknown=("invalid_client",), is_repeatable=False
)
REPEATABLE = replace(SITE, is_repeatable=True)
LATE = [(-SECOND, False), (ZERO, True), (1000 * DAY, True)]
"""How late somebody comes, and whether it is due then."""
JUST_LISTED = Listing(client="default", at=START)
BOTH = ring(active(), standby())


def upload(kid: str = "standby", **members: Any) -> Upload:
    return Upload(client="default", kid=kid, registration="there", **members)


def trial(at: datetime, **members: Any) -> Trial:
    """Return a trial of the standby key: a success, or with a ``code`` a refusal."""
    seen = {"refused_at": at, "refusals": 1} if "code" in members else {"last_success_at": at}
    known = {"client": "default", "kid": "standby", "registration": "there", **seen}
    return Trial(**{**known, **members})


def told(*records: Upload | Trial | Listing | Certified, **members: Any) -> Testimony:
    """Return a testimony of those; nothing is to be listed, if no listing is given."""
    listings = tuple(each for each in records if isinstance(each, Listing))
    return Testimony(
        uploads=tuple(each for each in records if isinstance(each, Upload)),
        trials=tuple(each for each in records if isinstance(each, Trial)),
        certificates=tuple(each for each in records if isinstance(each, Certified)),
        listings=listings or (JUST_LISTED,),
        **members,
    )


def act(
    at: datetime, *records: Upload | Trial | Listing | Certified, keyring: Keyring = BOTH
) -> uploads.Act | None:
    """Return what is to be done at an instant; a listing that is due by the day is left out."""
    daily = () if any(isinstance(each, Listing) for each in records) else (_listed(at),)
    return uploads.next_act(keyring, told(*records, *daily), SITE, at)


def _listed(at: datetime) -> Listing:
    return Listing(client="default", at=at)


LOST = upload(asked_at=START, asked=1)
TAKEN = replace(LOST, added_at=START, key_id="id")
LONG_AFTER = START + 60 * DAY
