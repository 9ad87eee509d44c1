"""The application, put together: nothing imports it."""
