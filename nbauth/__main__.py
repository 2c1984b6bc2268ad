"""`python -m nbauth` is the `nbauth` command."""

from nbauth.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
