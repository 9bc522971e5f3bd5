"""The suite: a class of tests for each thing that an LLM has to do with.

The docstring of every test ends with who needs what it tests: files of llama-index-core 0.14.
"""
