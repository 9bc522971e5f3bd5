"""Code shared by the adapters for LangChain and for LlamaIndex."""
