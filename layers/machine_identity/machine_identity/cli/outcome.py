"""How a command ends: what is expected to go wrong is one sentence, or one object, and a code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from machine_identity.aws import AwsError, StackError
from machine_identity.client_assertion import SigningError
from machine_identity.client_registration.answers import RegistrationError
from machine_identity.errors import (
    MachineIdentityError,
    SettingsError,
    TokenRequestError,
    TransportError,
)

EXIT_CODES: Final = """\b
Exit codes:
  0  it worked
  2  an option, a variable or the key file is wrong
  3  the authorization server gave no token, or did not do to a client what was asked,
     or nothing signs at present
  4  the API gave no answer, or refused
  5  AWS gave no key, does not sign with it or end it, or shows no such stack as it must be
"""
NO_KEY: Final = 5
_UNUSABLE, _NO_TOKEN, _NO_ANSWER = 2, 3, 4
_NO_STACK: Final = NO_KEY


class ApiError(MachineIdentityError):
    """The API answered, but not with a result."""


@contextmanager
def one_sentence(*, as_json: bool) -> Iterator[None]:
    """Turn what is expected to go wrong into one sentence, or one object, and an exit code."""
    try:
        yield
    except SettingsError as error:
        code, sentence, status = "settings", str(error), _UNUSABLE
    except (TokenRequestError, RegistrationError) as error:
        code, sentence, status = error.code, error.description, _NO_TOKEN
    except (TransportError, ApiError) as error:
        code, sentence, status = "api", str(error), _NO_ANSWER
    except (AwsError, SigningError) as error:
        code, sentence, status = "key", str(error), NO_KEY
    except StackError as error:
        code, sentence, status = "stack", str(error), _NO_STACK
    else:
        return
    if as_json:
        click.echo(json.dumps({"error": code, "error_description": sentence}))
    else:
        click.echo(f"Error: {code}: {sentence}", err=True)
    raise click.exceptions.Exit(status)
