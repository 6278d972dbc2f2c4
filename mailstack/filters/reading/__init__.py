"""How a message is read for the classifiers: HTML, links, charsets, attachments, archives; pure."""
