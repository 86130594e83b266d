"""Searches whose candidates are trained one by one: how, by whom, and what is known of them."""
