"""The batch system: grids in, Parquet out, questions answered."""
