"""Parts of the pages: the shell, forms made from technique parameters, widgets."""
