"""Files that a command writes: all of one or nothing, and none lost that was there before."""

import os
from pathlib import Path

from machine_identity import clock
from machine_identity.errors import SettingsError


def write(path: Path, content: bytes, *, may_replace: bool) -> None:
    """Write a file that no reader ever finds half-written. Raises SettingsError.

    What stands there already is replaced only if it may be, and never if it is no plain file.
    """
    if path.exists() and not path.is_file():
        raise SettingsError(f"{path} is there, and is no file")
    draft = path.with_name(f".{path.name}.{clock.unique()}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if may_replace:
            draft.replace(path)
        else:
            path.hardlink_to(draft)  # refuses to replace, whoever wrote it since
    except FileExistsError:
        raise SettingsError(f"{path} is there already; --force replaces it") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
