"""Raw releases of data sets: reading what they hold, repairing what lies, converting case by case."""
