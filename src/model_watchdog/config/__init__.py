"""The configuration: what it is (`model`), how it is read (`loading`), which word means which class (`kinds`)."""
