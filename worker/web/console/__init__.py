"""The console: pages for people with a browser, readable and usable without JavaScript.

Each module is one page or a few that belong together; ``rendering`` makes the HTML, ``forms`` reads what was typed,
``words`` says things, ``lives`` is the picture. A page asks ``Operations`` and nothing else.
"""
