"""Draw images and videos for people to look at."""
