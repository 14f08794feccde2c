"""How is each layout of documents read? JSON, tables, Parquet, files of text, products, ir_datasets."""
