"""The one exception whose message is written for the user."""


class UserError(Exception):
    """Something the user can mend. The message says what is wrong, where, and what to do.

    The command line shows it without a traceback and exits with status 1.
    """
