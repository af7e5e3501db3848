"""The pages that are generated: each from the one place where its facts stand, so that none is typed twice."""
