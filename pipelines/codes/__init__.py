"""``codes export`` and ``codes import``: decisions on codes by people who know them."""
