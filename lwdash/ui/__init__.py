"""What the pages share: the shell, forms made from technique parameters, widgets."""
