"""A suite as one page that opens anywhere: tables to sort, charts to point at."""
