"""`python -m oddlog`: the command line where the script `oddlog` is not on the path."""

from oddlog.cli import main

if __name__ == "__main__":
    main()
