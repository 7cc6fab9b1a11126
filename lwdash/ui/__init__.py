"""Parts of the pages: the shell, forms from technique parameters, widgets."""
