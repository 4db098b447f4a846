"""Certificates and ports that do not fit."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cache_admin.adapters.errors import judge
from cache_admin.exceptions import CacheAdminError, Unavailable

from .conftest import PASSWORD, MakeAlias, StartServer, failure, free_port

pytestmark = pytest.mark.servers


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        if not shutil.which("openssl"):
            pytest.skip("needs openssl")
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=elsewhere"
        pem = tmp_path / "both.pem"
        subprocess.run([*command.split(), "-keyout", pem, "-out", tmp_path / "c.pem"], check=True, capture_output=True)
        pem.write_bytes(pem.read_bytes() + (tmp_path / "c.pem").read_bytes())
        return pem

    @pytest.fixture
    def tls_port(self, certificate: Path) -> Iterator[int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    near, _address = listener.accept()
                except OSError:
                    return
                with near:
                    near.settimeout(2)
                    try:
                        context.wrap_socket(near, server_side=True).close()
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()

    def test_a_bad_certificate_is_named_in_words(self, make_alias: MakeAlias, tls_port: int, certificate: Path) -> None:
        location = f"rediss://:{PASSWORD}@127.0.0.1:{tls_port}/0"
        assert "self-signed" in str(failure(make_alias(location, timeout=2).count, Unavailable))
        trusted = make_alias(location, timeout=2, ssl_ca_certs=str(certificate))
        assert "certificate is for another" in str(failure(trusted.count, Unavailable))

    def test_an_expired_certificate_is_named_in_words(self) -> None:
        cause = ssl.SSLCertVerificationError("certificate verify failed")
        cause.verify_code = 10
        error = redis.ConnectionError(f"Error 1 connecting with {PASSWORD}")
        error.__context__ = cause
        assert "its certificate has expired" in str(judge(error).error("mine", 0))

    def test_tls_to_a_plain_port(self, start: StartServer, make_alias: MakeAlias) -> None:
        port = free_port()
        start(port=port)
        it = make_alias(f"rediss://127.0.0.1:{port}/0")
        assert "no TLS handshake since" in str(failure(it.count, Unavailable))

    def test_something_else_behind_the_port(self, tls_port: int, make_alias: MakeAlias) -> None:
        failure(make_alias(f"redis://127.0.0.1:{tls_port}/0").count, CacheAdminError)
