"""Microsoft Graph for data: complete lists, batches, changes, files and data frames."""
