"""How the site is built: Sphinx reads the Markdown pages by MyST, and furo shows them. ``make docs``."""

from lanewise import __version__

project = "Lanewise"
author = "The Lanewise authors"
copyright = "The Lanewise authors"  # noqa: A001 - Sphinx's own name
version = release = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Lanewise {__version__}"
html_static_path = ["_static"]
html_css_files = ["lanewise.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
python_use_unqualified_type_names = True
add_module_names = False
suppress_warnings = ["myst.header"]
