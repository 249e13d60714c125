"""Make the pictures of mails: `.venv/bin/python docs/images/make_mail_pictures.py`. They show the golden mails.

A frame follows the colour scheme of its element, so one page shows a mail in light and in dark mode.
"""

import html

from make_screenshots import HERE, empty_page, save

MAILS = HERE.parent.parent / "tests" / "unit" / "notification" / "mails"
PICTURES = {
    "mail-created-paid.png": [("order_created", "light", 640), ("order_paid", "dark", 360)],
    "mail-shipped-cancelled.png": [("order_shipped", "light", 640), ("order_cancelled", "dark", 360)],
    "mail-delivered-refunded.png": [("order_delivered", "light", 640), ("order_refunded", "dark", 360)],
}
HEIGHT = 860
PAGE = "margin:24px; display:flex; gap:24px; justify-content:center; background:#d5d9de"


def frame(name: str, scheme: str, width: int) -> str:
    """Return a frame with a mail, as wide as a window of a mail program."""
    mail = html.escape((MAILS / f"{name}.html").read_text())
    style = f"width:{width}px; height:{HEIGHT}px; border:0; border-radius:12px; color-scheme:{scheme}"
    return f'<iframe style="{style}" srcdoc="{mail}"></iframe>'


if __name__ == "__main__":
    with empty_page() as page:
        for picture, mails in PICTURES.items():
            row = "".join(frame(*mail) for mail in mails)
            page.set_content(f'<body style="{PAGE}">{row}')
            save(page, picture, HEIGHT + 48)
