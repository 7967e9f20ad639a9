"""An FTP server made with pyftpdlib that a test can give orders to while it runs.

  ftp_server.py --port PORT --root FOLDER --orders FOLDER --user USER --password PASSWORD
                [--tls explicit|implicit --certificate PEM --key PEM]

Orders are files in their folder, read at the moment they matter:

  refuse-login     while it exists every login fails with 530
  break-after      a number: the first data connection that carries so many bytes is reset then, and the file
                   is removed
  hold-store       the connection of the next STOR breaks, and the file becomes `held-store`; when the test removes
                   that, the STOR is carried out after all: it empties its file
  listing          lines that every listing for machines (MLSD) has besides its own, which may be lies

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
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

# Change folder, list, read, append, delete, rename, make folder, store, change mode and time.
ALL_RIGHTS = "elradfmwMT"


class Orders:
    def __init__(self, folder):
        self.refuse_login = Path(folder, "refuse-login")
        self.break_after = Path(folder, "break-after")
        self.hold_store = Path(folder, "hold-store")
        self.held_store = Path(folder, "held-store")
        self.listing = Path(folder, "listing")

    def break_after_bytes(self):
        """The bytes after which a transfer is to break; nothing where none is."""
        try:
            return int(self.break_after.read_text())
        except FileNotFoundError:
            return None

    def lies(self):
        try:
            return self.listing.read_bytes()
        except FileNotFoundError:
            return b""


def breaking(base, orders):
    """A data connection that ends with a reset once it has carried its bytes, when the test asks for it."""

    class Breaking(base):
        def __init__(self, *arguments, **named):
            self.bytes_carried = 0
            self.spent = False
            super().__init__(*arguments, **named)

        def use_sendfile(self):
            return orders.break_after_bytes() is None and super().use_sendfile()

        def allowance(self, wanted):
            limit = orders.break_after_bytes()
            return wanted if limit is None else max(1, min(wanted, limit - self.bytes_carried))

        def carried(self, count):
            self.bytes_carried += count
            limit = orders.break_after_bytes()
            if limit is not None and self.bytes_carried >= limit:
                orders.break_after.unlink()
                self.spent = True

        def recv(self, size):
            data = super().recv(self.allowance(size))
            self.carried(len(data))
            return data

        def send(self, data):
            if self.spent:
                return 0
            count = super().send(data[: self.allowance(len(data))])
            self.carried(count)
            return count

        def handle_read_event(self):
            super().handle_read_event()
            self.break_when_spent()

        def handle_write_event(self):
            super().handle_write_event()
            self.break_when_spent()

        def break_when_spent(self):
            if not self.spent or self._closed:
                return
            # No lingering: close sends RST (socket(7)). Nothing announces the end, TLS neither.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._error = True
            self.transfer_finished = False
            self._resp = ("426 Broken on order of the test.", logging.debug)
            self.close()

    return Breaking


def lying(orders):
    """A file system whose listings for machines have further lines on order of the test."""

    class Lying(AbstractedFS):
        def format_mlsx(self, basedir, listing, perms, facts, ignore_err=True):
            yield from super().format_mlsx(basedir, listing, perms, facts, ignore_err)
            if ignore_err:  # a listing, not the facts of one file
                yield orders.lies()

    return Lying


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


def outliving(base, orders):
    """A session that lives on for a while when its connection broke, as those of other servers do, on order of the test."""

    class Outliving(base):
        def ftp_STOR(self, file, mode="w"):
            try:
                orders.hold_store.rename(orders.held_store)
            except FileNotFoundError:
                return super().ftp_STOR(file, mode)
            self.close()
            self.carry_out(file)

        def carry_out(self, file):
            if orders.held_store.exists():
                self.ioloop.call_later(0.01, self.carry_out, file)
                return
            Path(file).write_bytes(b"")
            self.announce("late STOR")

    return Outliving


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
    handler = outliving(announcing(control), orders)
    handler.dtp_handler = breaking(data, orders)
    handler.abstracted_fs = lying(orders)
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
