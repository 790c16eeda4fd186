"""A look at camera paths before anything costly is done."""
