"""The edge to AWS: the only package that imports boto3."""

from machine_identity.errors import MachineIdentityError


class AwsError(MachineIdentityError):
    """AWS did not do what it was asked, and the caller cannot tell more than ``code`` says.

    ``code`` is AWS's own (``AccessDenied``, ``ThrottlingException``) or, where no answer came, the
    name of the failure. The message names the operation, never its contents.
    """

    def __init__(self, operation: str, code: str) -> None:
        super().__init__(f"{operation} failed: {code}")
        self.operation = operation
        self.code = code


class StackError(MachineIdentityError):
    """A stack cannot be read, or is not as it was deployed; the sentence says what to do."""
