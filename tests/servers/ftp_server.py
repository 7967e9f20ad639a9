"""An FTP server made with pyftpdlib that a test can give orders to while it runs.

  ftp_server.py --port PORT --root FOLDER --orders FOLDER --user USER --password PASSWORD
                [--tls explicit|implicit --certificate PEM --key PEM]

Orders are files in their folder, read at the moment they matter:

  refuse-login     while it exists every login fails with 530
  break-after      a number: the next data connection is reset after so many bytes, and the file is removed

Every command of a client goes to standard output as `NUMBER COMMAND ARGUMENT`, where NUMBER counts control
connections from 1; a new connection is the line `NUMBER connected`. Passwords are left out.
"""

import argparse
import itertools
import logging
import socket
import struct
from pathlib import Path

from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

# Change folder, list, read, append, delete, rename, make folder, store, change mode and time.
ALL_RIGHTS = "elradfmwMT"


class Orders:
    def __init__(self, folder):
        self.refuse_login = Path(folder, "refuse-login")
        self.break_after = Path(folder, "break-after")

    def take_break(self):
        """The bytes that the next transfer may have, once."""
        try:
            count = int(self.break_after.read_text())
            self.break_after.unlink()
            return count
        except FileNotFoundError:
            return None


def breaking(base, orders):
    """A data connection that ends with a reset once it has carried its bytes, when the test asks for it."""

    class Breaking(base):
        def __init__(self, *arguments, **named):
            self.bytes_left = None
            super().__init__(*arguments, **named)
            self.bytes_left = orders.take_break()

        def use_sendfile(self):
            return self.bytes_left is None and super().use_sendfile()

        def recv(self, size):
            if self.bytes_left is None:
                return super().recv(size)
            data = super().recv(min(size, self.bytes_left))
            self.bytes_left -= len(data)
            return data

        def send(self, data):
            if self.bytes_left is None:
                return super().send(data)
            if self.bytes_left == 0:
                return 0
            count = super().send(data[: self.bytes_left])
            self.bytes_left -= count
            return count

        def handle_read_event(self):
            super().handle_read_event()
            self.break_when_spent()

        def handle_write_event(self):
            super().handle_write_event()
            self.break_when_spent()

        def break_when_spent(self):
            if self.bytes_left != 0 or self._closed:
                return
            # No lingering: close sends RST (socket(7)). Nothing announces the end, TLS neither.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._error = True
            self.transfer_finished = False
            self._resp = ("426 Broken on order of the test.", logging.debug)
            self.close()

    return Breaking


class PatientTlsData(TLS_DTPHandler):
    """Sends nothing and closes nothing before the handshake is over, and no empty record. pyftpdlib's own
    handler ends an empty listing at once, even in the middle of the handshake, which a client has to take for
    an attack, or aborts it, because OpenSSL refuses to write nothing."""

    def send(self, data):
        return super().send(data) if data else 0

    def initiate_send(self):
        if not self._ssl_accepting:
            super().initiate_send()

    def handle_ssl_established(self):
        super().handle_ssl_established()
        if not self.receive:
            self.initiate_send()


def authorizer_for(options, orders):
    class Authorizer(DummyAuthorizer):
        def validate_authentication(self, username, password, handler):
            if orders.refuse_login.exists():
                raise AuthenticationFailed("Refused on order of the test.")
            super().validate_authentication(username, password, handler)

    authorizer = Authorizer()
    authorizer.add_user(options.user, options.password, options.root, perm=ALL_RIGHTS)
    return authorizer


def announcing(base):
    """A control connection that tells what it is asked."""
    numbers = itertools.count(1)

    class Announcing(base):
        def announce(self, text):
            print(f"{self.number} {text}", flush=True)

        def on_connect(self):
            self.number = next(numbers)
            self.announce("connected")

        def pre_process_command(self, line, cmd, arg):
            self.announce(cmd if cmd == "PASS" or not arg else f"{cmd} {arg}")
            super().pre_process_command(line, cmd, arg)

    return Announcing


class ImplicitTls(TLS_FTPHandler):
    """TLS from the first byte (RFC 4217 leaves it out; port 990 by custom). The data are protected as well."""

    def handle(self):
        self.secure_connection(self.ssl_context)

    def handle_ssl_established(self):
        self._pbsz = self._prot = True
        super().handle()

    def flush_account(self):
        super().flush_account()
        self._pbsz = self._prot = True


HANDLERS = {
    None: (FTPHandler, DTPHandler),
    "explicit": (TLS_FTPHandler, PatientTlsData),
    "implicit": (ImplicitTls, PatientTlsData),
}


def handler_for(options):
    orders = Orders(options.orders)
    control, data = HANDLERS[options.tls]
    handler = announcing(control)
    handler.dtp_handler = breaking(data, orders)
    handler.authorizer = authorizer_for(options, orders)
    handler.auth_failed_timeout = 0
    if options.tls:
        handler.certfile, handler.keyfile = options.certificate, options.key
    return handler


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--root", "--orders", "--user", "--password"):
        arguments.add_argument(name, required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--tls", choices=["explicit", "implicit"])
    arguments.add_argument("--certificate")
    arguments.add_argument("--key")
    options = arguments.parse_args()
    logging.basicConfig(level=logging.WARNING)
    FTPServer(("127.0.0.1", options.port), handler_for(options)).serve_forever()


if __name__ == "__main__":
    main()
