"""Where the channels of a network come from and go to, found by tracing it: nothing is written by hand for any network."""
