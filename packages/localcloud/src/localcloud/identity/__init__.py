"""One OpenID Connect issuer: sign-in of users by authorization code, tokens of services by client credentials.

Sources: RFC 6749 (OAuth 2.0), RFC 7636 (PKCE), RFC 7009 (revocation), RFC 8414 and OpenID Connect Discovery 1.0
(metadata), RFC 9068 (access tokens as JWT), RFC 9207 (the issuer in authorization responses), RFC 9700 (practice).
"""
