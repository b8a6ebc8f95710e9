"""``python -m iua_widget``: the command line."""

from iua_widget.cli.main import main

if __name__ == "__main__":
    main(prog_name="iua-widget")
