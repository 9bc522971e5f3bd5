"""What the adapters for LangChain and for LlamaIndex share."""
