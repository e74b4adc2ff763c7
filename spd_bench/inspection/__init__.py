"""Looking at a raw dataset before training: figures, duplicates, warnings and a contact sheet."""
