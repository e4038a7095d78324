"""What a student learns by, one file each."""
