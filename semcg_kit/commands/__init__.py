"""The commands of the command line, one module per kind of work; `semcg_kit.__main__` is the door."""
