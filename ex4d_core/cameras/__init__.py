"""Camera paths and intrinsics: the `--cam` language, generators and files."""
