"""One resumable run, first step to last: training, adaptation, or a search of shared weights."""
