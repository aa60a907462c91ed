"""Why a certificate is not trusted, in words that tell what to mend."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Final

__all__ = ["certificate_problem"]

# The codes are those of OpenSSL's X509_V_ERR_*, as SSLCertVerificationError.verify_code has them.
_OF_CODE: Final = {
    9: "the certificate is not yet valid (or the clock of this machine is wrong)",
    10: "the certificate has expired",
    18: "the certificate is self-signed, and this machine does not trust it",
    19: "the certificate's chain ends in a self-signed one, which this machine does not trust",
    20: "the certificate's issuer is not one that this machine trusts",
    21: "the certificate's issuer is not one that this machine trusts",
    23: "the certificate was revoked",
    62: "the certificate is for another host",
    64: "the certificate is for another IP address",
}
# truststore asks the system on macOS and Windows, which gives no such code.
_OF_WORDS: Final = (("expired", _OF_CODE[10]), ("not yet valid", _OF_CODE[9]), ("revoked", _OF_CODE[23]))


def certificate_problem(chain: Iterable[BaseException]) -> str | None:
    """What is wrong with the certificate that an exception's chain is about; ``None`` where nothing tells."""
    for error in chain:
        if not isinstance(error, ssl.SSLCertVerificationError):
            continue
        problem = _OF_CODE.get(getattr(error, "verify_code", 0))  # which an error that truststore has made lacks
        text = " ".join(part for part in error.args if isinstance(part, str)).lower()
        problem = problem or next((words for word, words in _OF_WORDS if word in text), None)
        if problem is not None:
            return problem
    return None
