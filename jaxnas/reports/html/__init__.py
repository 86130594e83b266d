"""Pages for a browser: whole in one file, which fetches nothing and runs one script of its own."""
