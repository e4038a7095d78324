"""Public formats, read and written as their authors defined them."""
