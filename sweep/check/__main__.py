"""`python -m sweep.check`: the command `sweep-check`."""

from sweep.check.cli import main

if __name__ == "__main__":
    main()
