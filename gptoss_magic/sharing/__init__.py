"""What leaves the kernel: records in a notebook, their replay, bundles, pages."""
