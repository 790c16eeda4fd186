"""Ends the interpreter when it is imported."""

import sys

sys.exit("a license key is missing")
