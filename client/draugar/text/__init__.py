"""What people type, paste and read: characters, names, and how times and lengths are written."""
