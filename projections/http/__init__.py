"""What the routes share: the layers before them, parameters, problems, and the forms of answers."""
