"""`python -m mailstack`."""

from mailstack.cli.main import main

main()
