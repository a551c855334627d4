"""Label-noise audit: which transcripts are wrong, where, how many, how sure."""
