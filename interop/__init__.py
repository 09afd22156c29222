"""The deployment before parties that other people wrote, and the table of who was shown what."""
