"""Prompts for frozen unit language models: tasks, verbalizers, methods, baselines, decoding, in-context learning."""
