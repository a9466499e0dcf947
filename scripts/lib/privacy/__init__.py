"""What is held about people, and how it leaves: erasure, access, retention; who is not counted."""
