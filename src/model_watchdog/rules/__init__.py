"""How a series is judged. One file a form; no file imports another."""
