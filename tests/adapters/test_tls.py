"""Certificates and ports that do not fit."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from cache_admin.exceptions import CacheAdminError, Unavailable
from tests.conftest import program

from .conftest import PASSWORD, MakeAlias, StartServer, failure, free_port

pytestmark = pytest.mark.servers
VALID = "20200101000000Z", "20990101000000Z"
#: With all that Python 3.13 wants of a certificate before it looks at name and time.
AUTHORITY = """
[ca]
default_ca = here
[here]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = strict
[any]
commonName = supplied
[strict]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class TestTls:
    @pytest.fixture
    def certificate(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        """Key and self-signed certificate of "elsewhere"; the parameter is from when to when it is valid."""
        program("openssl")
        begin, end = getattr(request, "param", VALID)
        (tmp_path / "ca.cnf").write_text(AUTHORITY)
        (tmp_path / "index").touch()
        ask = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=elsewhere -keyout key.pem -out ask.pem"
        sign = f"ca -batch -selfsign -notext -config ca.cnf -keyfile key.pem -in ask.pem -startdate {begin}"
        for command in (ask, f"{sign} -enddate {end} -out c.pem"):
            subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
        pem = tmp_path / "both.pem"
        pem.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "c.pem").read_bytes())
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

    @pytest.mark.parametrize(
        ("certificate", "words"),
        [
            (("20200101000000Z", "20210101000000Z"), "its certificate has expired"),
            (("20980101000000Z", "20990101000000Z"), "its certificate is not valid yet"),
        ],
        indirect=["certificate"],
    )
    def test_a_certificate_out_of_its_time_is_named_in_words(
        self, make_alias: MakeAlias, tls_port: int, certificate: Path, words: str
    ) -> None:
        location = f"rediss://:{PASSWORD}@127.0.0.1:{tls_port}/0"
        it = make_alias(location, timeout=2, ssl_ca_certs=str(certificate), ssl_check_hostname=False)
        assert words in str(failure(it.count, Unavailable))

    def test_the_pages_name_it_too(
        self, make_alias: MakeAlias, tls_port: int, certificate: Path, admin_client: Client
    ) -> None:
        make_alias(f"rediss://:{PASSWORD}@127.0.0.1:{tls_port}/0", timeout=2)
        for name, *args in (("patterns",), ("keys",), ("health",), ("card", "headline"), ("card", "memory")):
            page = admin_client.get(reverse(f"admin:cache_admin_{name}", args=["mine", *args]))
            assert page.status_code == 200
            assert "its certificate is self-signed" in page.text
            assert PASSWORD not in page.text

    def test_tls_to_a_plain_port(self, start: StartServer, make_alias: MakeAlias) -> None:
        port = free_port()
        start(port=port)
        it = make_alias(f"rediss://127.0.0.1:{port}/0")
        assert "no TLS handshake since" in str(failure(it.count, Unavailable))

    def test_something_else_behind_the_port(self, tls_port: int, make_alias: MakeAlias) -> None:
        failure(make_alias(f"redis://127.0.0.1:{tls_port}/0").count, CacheAdminError)
