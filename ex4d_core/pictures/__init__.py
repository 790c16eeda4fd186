"""Draw images and videos for inspection."""
