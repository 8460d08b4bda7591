"""The routes of Infisical's public API for OpenRouter connections and OpenRouter API key rotations.

Scripts that were written for it work here with another host and token. What is asked and answered is in ``asked`` and
``answered``, as it is there; ``orders`` says what a request means here, ``words`` how our refusals are told there.
Where theirs is a flaw, ours is right; the README has a table of the differences.
"""
