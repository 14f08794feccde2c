"""Which further factors do some systems have, beside head, activation and pool? One module a gate."""
