"""How Sphinx builds the site: `make docs` writes it to build/docs, to be read without a network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "tinyalex"
author = "the authors of tinyalex"
copyright = "MIT licence"
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx-mathjax-offline",
    "site_tools",
]
exclude_patterns = ["slides", "**.ipynb_checkpoints"]

# Pages
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
myst_url_schemes = {"http": None, "https": None, "mailto": None, "source": None}
highlight_language = "none"
smartquotes = False  # they would make one dash of --out

# Tutorials: executed once, and again only when they change
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parents[1] / "build" / "tutorials")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_ipywidgets_js = {}  # they would come from the network; site_tools.recorded puts what moves in their place
nb_merge_streams = True
nb_code_prompt_show = "The answer"  # the only cells that are folded
nb_code_prompt_hide = "Hide the answer"

# Reference
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

# Looks
html_theme = "sphinx_book_theme"
html_title = "tinyalex"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_permalinks_icon = "#"
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "footer_content_items": [],
}
