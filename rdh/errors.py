"""The one error that is meant for a person: a page shows it as a card, the command line prints it and exits with 2."""


class UserError(ValueError):
    """One clear sentence: the field, the rule, the value that came, and the way out."""
