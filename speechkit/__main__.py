"""`python -m speechkit` is the same program as `speechkit`."""

from speechkit.cli import main

if __name__ == "__main__":
    main()
