"""Sign-in of the page: the API is the client of the issuer, the browser has nothing but sealed cookies.

Sources: RFC 6749, RFC 7636 (PKCE), RFC 9207 (the issuer in answers), OpenID Connect Core, RFC 9700 (practice), and
draft-ietf-oauth-browser-based-apps, section 6.1 (backend for frontend).
"""
