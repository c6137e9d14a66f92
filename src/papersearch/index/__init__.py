"""The index room: postings on disk, generations, incremental update.

    flatfile   named typed arrays in one checksummed file
    objects    JSON as the files hold it
    toc        the table of contents and the atomic switch to the next generation
    segment    one segment as it is read
    reader     Snapshot: one generation, over all its segments
    builder    tokens to segment files, and the merging of segments
    codec      the Whoosh codec over the same files; the only importer of Whoosh
    lock       the write lock
    places     where the papers stand in the corpus
    workers    processes that analyse many papers
    writer     IndexWriter: documents in, a new generation out
    verify     the full check
    origin     whether an index was built where it lies
    update     the corpus into the index: what changed, and only that

Importing this package imports none of them. The bytes are described in docs/index-format.md.
"""
