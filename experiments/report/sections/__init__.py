"""The sections of a report, a file for each; `order` has them in reading order."""
