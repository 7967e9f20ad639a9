"""An SFTP server made with paramiko for what OpenSSH's does only with accounts of the machine: passwords.

  sftp_server.py --port PORT --root FOLDER --orders FOLDER --host-key FILE --user USER --password PASSWORD
                 [--keyboard-interactive]

FOLDER is the root that clients see. The order `refuse-login`, a file in the folder of orders, makes every
login fail while it exists. With --keyboard-interactive the password is asked for in a dialogue (RFC 4256), as
servers behind PAM do, instead of the method `password`. One thread per connection.
"""

import argparse
import logging
import os
import socket
import threading
from pathlib import Path

import paramiko
from paramiko import AUTH_FAILED, AUTH_SUCCESSFUL, SFTP_OK, InteractiveQuery, SFTPAttributes, SFTPHandle, SFTPServer


class Door(paramiko.ServerInterface):
    def __init__(self, options):
        self.options = options

    def get_allowed_auths(self, username):
        return "keyboard-interactive" if self.options.keyboard_interactive else "password"

    def check(self, username, password):
        known = (username, password) == (self.options.user, self.options.password)
        refused = Path(self.options.orders, "refuse-login").exists()
        return AUTH_SUCCESSFUL if known and not refused else AUTH_FAILED

    def check_auth_password(self, username, password):
        return AUTH_FAILED if self.options.keyboard_interactive else self.check(username, password)

    def check_auth_interactive(self, username, submethods):
        if not self.options.keyboard_interactive:
            return AUTH_FAILED
        self.asked = username
        return InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses):
        return self.check(self.asked, responses[0] if len(responses) == 1 else "")

    def check_channel_request(self, kind, channel):
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


def answer(action):
    """The status of an operation on files; what it returns instead of nothing stays."""
    try:
        result = action()
        return SFTP_OK if result is None else result
    except OSError as error:
        return SFTPServer.convert_errno(error.errno)


class Handle(SFTPHandle):
    def stat(self):
        return answer(lambda: SFTPAttributes.from_stat(os.fstat(self.readfile.fileno())))


class Files(paramiko.SFTPServerInterface):
    root = "/"

    def real(self, path):
        return self.root + self.canonicalize(path)

    def attributes(self, stat, path):
        return answer(lambda: SFTPAttributes.from_stat(stat(self.real(path)), os.path.basename(path)))

    def list_folder(self, path):
        folder = self.real(path)
        return answer(lambda: [self.attributes(os.lstat, f"{path}/{name}") for name in os.listdir(folder)])

    def stat(self, path):
        return self.attributes(os.stat, path)

    def lstat(self, path):
        return self.attributes(os.lstat, path)

    def open(self, path, flags, attr):
        return answer(lambda: self.open_file(path, flags))

    def open_file(self, path, flags):
        mode = "ab" if flags & os.O_APPEND else "r+b" if flags & (os.O_WRONLY | os.O_RDWR) else "rb"
        file = os.fdopen(os.open(self.real(path), flags, 0o644), mode, buffering=0)
        handle = Handle(flags)
        handle.filename, handle.readfile, handle.writefile = path, file, file
        return handle

    def remove(self, path):
        return answer(lambda: os.remove(self.real(path)))

    def rename(self, source, target):
        if os.path.lexists(self.real(target)):
            return paramiko.SFTP_FAILURE  # version 3 of the protocol does not replace
        return self.posix_rename(source, target)

    def posix_rename(self, source, target):
        return answer(lambda: os.rename(self.real(source), self.real(target)))

    def mkdir(self, path, attr):
        return answer(lambda: os.mkdir(self.real(path)))

    def rmdir(self, path):
        return answer(lambda: os.rmdir(self.real(path)))


def serve(connection, options, host_key):
    try:
        transport = paramiko.Transport(connection)
        transport.add_server_key(host_key)
        transport.set_subsystem_handler("sftp", SFTPServer, Files)
        transport.start_server(server=Door(options))
    except (EOFError, OSError, paramiko.SSHException):
        connection.close()  # a client that went away


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--root", "--orders", "--host-key", "--user", "--password"):
        arguments.add_argument(name, required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--keyboard-interactive", action="store_true")
    options = arguments.parse_args()
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    Files.root = options.root
    host_key = paramiko.Ed25519Key.from_private_key_file(options.host_key)
    with socket.create_server(("127.0.0.1", options.port), backlog=100) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, options, host_key), daemon=True).start()


if __name__ == "__main__":
    main()
