"""The four steps of the app: clip, depth, path, result. Each has its parts, what they show, and what they do."""
