"""Numbers in the text headers of images."""

# Possessive: a number is matched in one way or not at all, else a long line would be tried in very many. Beyond 1e99
# sums and products of ITK's readers become infinite.
NUMBER = r"[-+]?+(?>\d++\.?+\d*+|\.\d++)(?>[eE](?:-\d{1,3}|\+?0?\d{1,2}))?+"
MOST_HEADER_BYTES = 2**20
LONGEST_LINE = 500
"""Letters of a line that a reader of ITK may print into an error message of a fixed size."""
