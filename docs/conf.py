"""Sphinx configuration."""

from cache_admin import __version__

project = "Django Cache Admin"
author = copyright = "The Django Cache Admin developers"  # noqa: A001
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.intersphinx"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"Django Cache Admin {version}"
intersphinx_mapping = {}
nitpicky = True
