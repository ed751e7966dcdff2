"""The web app, as its build left it."""
