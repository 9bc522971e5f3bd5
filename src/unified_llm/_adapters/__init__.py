"""What the adapters for LangChain and for LlamaIndex have in common."""
