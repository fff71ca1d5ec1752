"""Where the operations of sign-in are."""

SESSION = "/v1/session"
SIGN_IN = "/v1/session/sign-in"
CALLBACK = "/v1/session/callback"
SIGN_OUT = "/v1/session/sign-out"
