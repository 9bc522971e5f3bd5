"""The sections of the suite: classes of tests, by topic.

The docstring of every test ends with the files of llama-index-core 0.14 that need the behaviour.
"""
