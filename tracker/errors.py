"""Every error the tracker raises on purpose, named by what is to be done about it.

    TrackerError
    ├── UsageError            the caller asked for something that cannot be done; fix the request (exit 64)
    ├── ConfigError           settings, key file or data folder; fix the set-up
    ├── DataError             one row or value cannot be understood; the row goes to quarantine
    │   └── MoneyError        an amount or a currency cannot be read exactly
    └── ProviderError         talking to a provider failed
        ├── AuthRejected      the provider refused the credentials; the connection pauses until the user acts
        │   └── RightMissing  the credentials are fine but lack a right
        ├── Unavailable       network or provider trouble; try again later
        │   └── RateLimited   the provider asked for a pause
        ├── NotFound          the provider has no such thing
        └── UnexpectedData    an answer cannot be understood as a whole (HTML, truncated JSON, a looping cursor)

A message says what was wrong and what to do next. It never carries a credential, a header or a query string.
"""


class TrackerError(Exception):
    """Root of the tree; `hint` says what the reader can do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(TrackerError):
    pass


class ConfigError(TrackerError):
    pass


class DataError(TrackerError):
    """One row or value cannot be understood. `field` is filled in where the row is normalised."""

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field

    def __str__(self) -> str:
        return f"{self.field}: {super().__str__()}" if self.field else super().__str__()


class MoneyError(DataError):
    pass


class ProviderError(TrackerError):
    pass


class AuthRejected(ProviderError):
    pass


class RightMissing(AuthRejected):
    pass


class Unavailable(ProviderError):
    pass


class RateLimited(Unavailable):
    """`retry_after_s` is what the provider asked for, or None when it did not say."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class NotFound(ProviderError):
    pass


class UnexpectedData(ProviderError):
    pass
