"""What tests expect of errors."""

from tsjax.errors import UserError


def refused(*words: str):
    """Expects a UserError of one line that holds all `words`."""

    class Check:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            assert kind is not None and issubclass(kind, UserError), f"expected a UserError, got {error!r}"
            message = str(error)
            assert error.exit_code == 65 and "\n" not in message
            assert all(word in message for word in words), message
            return True

    return Check()
