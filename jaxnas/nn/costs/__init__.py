"""What a network costs: parameters and multiply-adds, counted; seconds, measured."""
