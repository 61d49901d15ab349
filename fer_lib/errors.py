"""The errors that users see: bad input, named, with its remedy; and what faces lack, as a sentence."""


class FerError(ValueError):
    """Input that cannot be used; the message names the file or value and what to do about it, on one line."""

    def __str__(self) -> str:
        """Return the message; what would break its line, such as a newline in a file's name, is escaped."""
        message = super().__str__()
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)

    def _render_traceback_(self) -> list[str]:
        """Give notebooks (IPython asks for it) the message alone: the way to it explains nothing to a reader."""
        return [f"{type(self).__name__}: {self}"]


class Lacking(FerError):  # noqa: N818 - it is no error of the user's
    """What was asked for needs something that these faces do not have; the message says what.

    Nothing is wrong with the faces: pages and commands leave the result out and go on (`fer_lib.book.left_out`).
    """
