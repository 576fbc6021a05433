"""What the data sets share: splits, archives, lists, class folders, batches."""
