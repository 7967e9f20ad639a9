"""A strict FTP client made with ftplib: plain, TLS by AUTH (explicit) or from the first byte (implicit).

  ftp.py --url URL [--ca PEM] COMMAND ARGUMENT...

URL is SCHEME://USER:PASSWORD@HOST:PORT with the scheme `ftp`, `ftpes` (explicit) or `ftps` (implicit).

  put LOCAL REMOTE     a file; when LOCAL is a folder, all its files into the folder REMOTE
  get REMOTE LOCAL
  list FOLDER          prints the names as a JSON list
  delete REMOTE
  rename FROM TO
  mkdir FOLDER

A failure is one line on standard error and exit code 1.
"""

import argparse
import ftplib
import json
import pathlib
import ssl
import sys
import urllib.parse

TIMEOUT_SECONDS = 30


class Tls(ftplib.FTP_TLS):
    """Data connections take up the TLS session of the control connection, as vsftpd demands by default."""

    def ntransfercmd(self, cmd, rest=None):
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            connection = self.context.wrap_socket(connection, server_hostname=self.host, session=self.sock.session)
        return connection, size


class ImplicitTls(Tls):
    @property
    def sock(self):
        return self._sock

    @sock.setter
    def sock(self, sock):
        if sock is not None and not isinstance(sock, ssl.SSLSocket):
            sock = self.context.wrap_socket(sock, server_hostname=self.host)
        self._sock = sock

    _sock = None


def connect(options):
    url = urllib.parse.urlsplit(options.url)
    if url.scheme == "ftp":
        client = ftplib.FTP(timeout=TIMEOUT_SECONDS)
    else:
        context = ssl.create_default_context(cafile=options.ca)
        client = (ImplicitTls if url.scheme == "ftps" else Tls)(context=context, timeout=TIMEOUT_SECONDS)
    client.connect(url.hostname, url.port)
    if url.scheme == "ftps":
        ftplib.FTP.login(client, url.username, url.password)
    else:
        client.login(url.username, url.password)
    if url.scheme != "ftp":
        client.prot_p()
    return client


def put(client, local, remote):
    local = pathlib.Path(local)
    pairs = [(local, remote)]
    if local.is_dir():
        pairs = [(path, f"{remote}/{path.name}") for path in sorted(local.iterdir())]
    for path, target in pairs:
        with path.open("rb") as file:
            client.storbinary(f"STOR {target}", file)


def get(client, remote, local):
    with open(local, "wb") as file:
        client.retrbinary(f"RETR {remote}", file.write)


def names(client, folder):
    print(json.dumps(sorted(name.rpartition("/")[2] for name in client.nlst(folder))))


COMMANDS = {
    "put": put,
    "get": get,
    "list": names,
    "delete": lambda client, path: client.delete(path),
    "rename": lambda client, source, target: client.rename(source, target),
    "mkdir": lambda client, folder: client.mkd(folder),
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--ca")
    arguments.add_argument("command", choices=COMMANDS)
    arguments.add_argument("arguments", nargs="*")
    options = arguments.parse_args()
    try:
        client = connect(options)
        COMMANDS[options.command](client, *options.arguments)
        client.quit()
    except Exception as error:  # the boundary of the script: every failure becomes one line and exit code 1
        sys.exit(f"ftplib: {options.command}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
