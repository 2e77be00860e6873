"""What the scripts of this folder share."""

import base64

from hvac.exceptions import VaultError


def b64(data):
    return base64.b64encode(data).decode()


def raises(kind, call, *arguments, **named):
    """The call must fail with exactly that exception; gives its errors."""
    try:
        call(*arguments, **named)
    except VaultError as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        return error.errors or []
    raise AssertionError(f"{call.__name__} did not raise {kind.__name__}")
