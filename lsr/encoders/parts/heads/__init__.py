"""How do states become weights of terms? One module a head, in torch and in numpy."""
