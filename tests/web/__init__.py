"""The browser client, in the browsers that people have."""
