"""`python -m neurofm` is the `neurofm` command."""

from neurofm.commands.app import main

if __name__ == "__main__":
    main()
