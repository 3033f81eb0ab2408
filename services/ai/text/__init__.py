"""Text: summaries of what was said, and translations.

Summaries are extractive, made by a process of its own (`__main__`); or, where the operator has
named one, a language model's at an OpenAI-compatible endpoint. Translations come from the endpoint alone.
"""
