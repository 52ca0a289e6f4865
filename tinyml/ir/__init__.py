"""The intermediate representation: graphs, operators and the rules they obey."""
