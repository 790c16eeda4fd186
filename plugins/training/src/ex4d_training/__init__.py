"""Training of the EX-4D adapter from ordinary videos."""
