"""Jobs to run: tables of source and target, and a specification that fits them."""
