"""What a depth camera sees on its way through a room."""
