"""`python -m sweep`, for places that have the code but not its console scripts."""

from sweep.app import main

if __name__ == "__main__":
    main()
