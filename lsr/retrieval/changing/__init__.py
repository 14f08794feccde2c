"""What has to be known before a collection changes? How documents differ, what an encoder counts, and what was done."""
