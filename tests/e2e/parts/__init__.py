"""What several tests use, one subject a file: a test imports from here, and never from another test."""
