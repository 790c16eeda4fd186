"""Ends the interpreter when it is imported."""

import sys

sys.exit("a licence key is missing")
