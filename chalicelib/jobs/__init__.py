"""What runs without a request. Each job is a Lambda handler of its own that never loads app.py."""
