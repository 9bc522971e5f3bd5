"""Keys that a callable returns: fetched before a request is sent, and again after a server refused one."""
