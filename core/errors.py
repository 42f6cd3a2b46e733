"""How a file from outside is refused."""


class InputError(ValueError):
    """A file that cannot be read or breaks a rule: `FILE:LINE: what, rule.`"""

    def __init__(self, name: object, line: int, text: str) -> None:
        super().__init__(f"{name}:{line}: {text}" if line else f"{name}: {text}")
