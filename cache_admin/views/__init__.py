"""HTTP only: permission, parameters, template."""
