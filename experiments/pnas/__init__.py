"""What the scripts of PNAS (Liu et al. 2018) share, and its validation where the truth is known."""
