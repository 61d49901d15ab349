"""The one error that users see: bad input, named, with its remedy."""


class FerError(ValueError):
    """Input that cannot be used; the message names the file or value and what to do about it."""
