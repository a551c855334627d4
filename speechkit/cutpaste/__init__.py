"""New utterances from recorded words: inventory, texts, choice of snippets, rendering, gradient matching."""
