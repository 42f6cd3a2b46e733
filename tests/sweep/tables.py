"""Reading a run for comparison: all its rows in point order."""

import pyarrow as pa
import pyarrow.parquet as pq


def table_of(run):
    """Every row of a run's folder, in point order; fails if a point is there twice or missing."""
    tables = [pq.read_table(path) for path in sorted(run.glob("shard-*.parquet"))]
    rows = pa.concat_tables(t.replace_schema_metadata(None) for t in tables).combine_chunks()
    assert rows.column("point").to_pylist() == list(range(len(rows)))
    return rows
