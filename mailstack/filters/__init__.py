"""What a message is and what its owner wants: pipeline, authentication, spam, classes.  Pure."""
