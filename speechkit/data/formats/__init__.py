"""Exchange formats of others: each file reads and writes one of them."""
