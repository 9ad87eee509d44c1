"""Signing in over MCP: the OAuth 2.1 endpoints that clients and browsers come to."""
