"""Tokens of Microsoft Entra ID, as its managed identities get them: made by the one issuer, taken by the services."""
