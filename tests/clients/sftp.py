"""A strict SFTP client made with paramiko.

  sftp.py --url sftp://USER[:PASSWORD]@HOST:PORT --host-key 'TYPE BASE64' [--key FILE] COMMAND ARGUMENT...

  put LOCAL REMOTE     a file; when LOCAL is a folder, all its files into the folder REMOTE
  get REMOTE LOCAL
  list FOLDER          prints the names as a JSON list
  delete REMOTE
  rename FROM TO
  mkdir FOLDER

Relative paths start where the server puts a user. A failure is one line on standard error and exit code 1.
"""

import argparse
import json
import logging
import pathlib
import sys
import urllib.parse

import paramiko

TIMEOUT_SECONDS = 30


def connect(options):
    url = urllib.parse.urlsplit(options.url)
    kind, key = options.host_key.split()[:2]
    client = paramiko.SSHClient()
    entry = paramiko.hostkeys.HostKeyEntry.from_line(f"[{url.hostname}]:{url.port} {kind} {key}")
    client.get_host_keys().add(entry.hostnames[0], kind, entry.key)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        url.hostname, url.port, url.username, url.password, key_filename=options.key, allow_agent=False,
        look_for_keys=False, timeout=TIMEOUT_SECONDS, banner_timeout=TIMEOUT_SECONDS, auth_timeout=TIMEOUT_SECONDS,
    )
    return client


def put(sftp, local, remote):
    local = pathlib.Path(local)
    if not local.is_dir():
        sftp.put(str(local), remote)
        return
    for path in sorted(local.iterdir()):
        sftp.put(str(path), f"{remote}/{path.name}")


COMMANDS = {
    "put": put,
    "get": lambda sftp, remote, local: sftp.get(remote, local),
    "list": lambda sftp, folder: print(json.dumps(sorted(sftp.listdir(folder)))),
    "delete": lambda sftp, path: sftp.remove(path),
    "rename": lambda sftp, source, target: sftp.rename(source, target),
    "mkdir": lambda sftp, folder: sftp.mkdir(folder),
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--host-key", required=True)
    arguments.add_argument("--key")
    arguments.add_argument("command", choices=COMMANDS)
    arguments.add_argument("arguments", nargs="*")
    options = arguments.parse_args()
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # failures are told below, in one line
    try:
        client = connect(options)
        sftp = client.open_sftp()
        COMMANDS[options.command](sftp, *options.arguments)
        client.close()
    except Exception as error:  # the boundary of the script: every failure becomes one line and exit code 1
        sys.exit(f"paramiko: {options.command}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
