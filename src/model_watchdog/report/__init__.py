"""The report: what a time was like, from the record alone. `gather` makes the facts, `page` and `text` show them."""
