"""Fixtures that are functions."""


def starter(make, end):
    """The steps of one: the function, and then the END of all that it has made."""
    made = []

    def start(*words, **parts):
        made.append(make(*words, **parts))
        return made[-1]

    yield start
    failed = []
    for one in made:
        try:
            end(one)
        except Exception as error:  # the others end all the same
            failed.append(error)
    if failed:
        raise failed[0]
