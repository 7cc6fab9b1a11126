"""The token by which the upload route knows this server's own pages."""

import hashlib
import hmac

from streamlit.web.server.server_util import get_cookie_secret


def upload_token() -> str:
    """The token that a page gives its upload component, and that the upload route requires.

    It is derived from Streamlit's cookie secret: random for each server process, unless `server.cookieSecret`
    or the sign-in's `cookie_secret` is set. Then it is the same in every replica. A module variable does not
    work: after an edit of a source file Streamlit imports the modules of the pages again, and they would
    differ from the routes' value.
    """
    return hmac.new(get_cookie_secret().encode(), b"lwdash upload", hashlib.sha256).hexdigest()
