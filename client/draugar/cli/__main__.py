"""`python -m draugar.cli`."""

from draugar.cli.app import main

main()
