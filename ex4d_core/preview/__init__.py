"""Preview camera paths before anything costly runs."""
