"""What becomes of a row that is not kept, and what is said of an exception."""

class Reject(Exception):
    """Raise it, or return it: the row could not be transformed, and this says why."""

    def __init__(self, code, message=""):
        super().__init__(code, message)
        self.code = str(code)
        self.message = str(message)


class _Drop:
    """Return it: the row ends here, and nothing is wrong with it."""

    def __repr__(self):
        return "Drop"


Drop = _Drop()


def rejection_of(error):
    """The rejection that an exception becomes: its type, its text and the author's line."""
    if isinstance(error, Reject):
        return error
    return Reject("exception", described(error))


def described(error):
    """An exception in one line, with the innermost place that is not the SDK's."""
    text = str(error)
    said = type(error).__name__ + (f": {text}" if text else "")
    place = None
    frames = error.__traceback__
    while frames is not None:
        # By hand: the module `traceback` would look for the source, and there are no files.
        filename = frames.tb_frame.f_code.co_filename
        if "oast_sdk" not in filename:
            place = f" ({filename.rsplit('/', 1)[-1]}, line {frames.tb_lineno})"
        frames = frames.tb_next
    return said + (place or "")
