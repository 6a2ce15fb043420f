"""Where the browser's pages come from: an index, a folder, the notebook, a ZIM file, a host.

Each source keeps to what it was given: a URL that is not of it is not looked at, and none of them
reads a file of a URL's own choice.
"""
