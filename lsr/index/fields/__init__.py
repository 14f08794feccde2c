"""What do the fields of documents hold, and which documents meet a condition? Columns, filters, facets."""
