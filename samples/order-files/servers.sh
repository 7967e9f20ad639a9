#!/bin/sh
# The SFTP and the FTPS server of this sample, until Ctrl-C: OpenSSH's sshd and Python's pyftpdlib. What they serve is in ./data/sftp
# and ./data/ftps. The keys in ./servers are known to the whole world: use them for nothing else.
set -e
cd "$(dirname "$0")"
here=$(pwd)
mkdir -p data/sftp/orders data/ftps data/keys

# sshd refuses keys that others can read, and insists on being called by its full path.
cp servers/host_key data/keys/ && chmod 600 data/keys/host_key
cat > data/keys/sshd_config <<END
Port ${SFTP_PORT:-2222}
ListenAddress 127.0.0.1
HostKey $here/data/keys/host_key
AuthorizedKeysFile $here/servers/client_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile none
LogLevel ERROR
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d $here/data/sftp
END
[ "$(id -u)" = 0 ] && mkdir -p /run/sshd
"$(PATH=$PATH:/usr/sbin:/sbin command -v sshd)" -D -e -f data/keys/sshd_config &
sshd=$!

python3 - <<END &
import logging
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer

logging.basicConfig(level=logging.ERROR)
TLS_FTPHandler.certfile, TLS_FTPHandler.keyfile = "servers/ftps.pem", "servers/ftps.key"
TLS_FTPHandler.tls_control_required = TLS_FTPHandler.tls_data_required = True
TLS_FTPHandler.authorizer = DummyAuthorizer()
TLS_FTPHandler.authorizer.add_user("mediary", "secret", "data/ftps", perm="elradfmwMT")
FTPServer(("127.0.0.1", ${FTPS_PORT:-2121}), TLS_FTPHandler).serve_forever()
END
ftps=$!

trap 'kill $sshd $ftps 2> /dev/null' EXIT
trap exit INT TERM
echo "SFTP on port ${SFTP_PORT:-2222}, FTPS on port ${FTPS_PORT:-2121}"
wait
