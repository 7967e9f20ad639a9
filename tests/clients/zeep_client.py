"""A strict SOAP client made with zeep. It judges the gateway as a customer's client would.

  zeep_client.py WSDL operations
  zeep_client.py WSDL call OPERATION ARGUMENTS [--header JSON] [--soap 1.1|1.2] [--address URL]

`operations` prints {operation: signature}. `call` prints {"result": ...} or {"fault": {code, message,
detail}} and exits with 0 for both: a fault is an answer. Anything else (no WSDL, an argument or reply that
the schema forbids, an answer that is not SOAP) exits with 1 and a line on standard error.
"""

import argparse
import datetime
import decimal
import json
import sys

from lxml import etree
from zeep import Client, Settings
from zeep.exceptions import Fault
from zeep.helpers import serialize_object
from zeep.transports import Transport
from zeep.wsdl.bindings import Soap11Binding, Soap12Binding

TIMEOUT_SECONDS = 15
BINDINGS = {"1.1": Soap11Binding, "1.2": Soap12Binding}


def plain(value):
    """Decimals keep their digits as text, dates become ISO 8601."""
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (datetime.date, datetime.datetime, datetime.time)):
        return value.isoformat()
    if isinstance(value, etree._Element):
        return etree.tostring(value, encoding="unicode")
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise TypeError(f"no JSON form for {type(value).__name__}")


def find_port(client, soap):
    """The first port of the WSDL that speaks this version of SOAP."""
    for service in client.wsdl.services.values():
        for port in service.ports.values():
            # Soap12Binding and Soap11Binding are siblings, so isinstance tells them apart.
            if isinstance(port.binding, BINDINGS[soap]):
                return service, port
    raise LookupError(f"the WSDL has no SOAP {soap} port")


def operations(client, options):
    _, port = find_port(client, options.soap)
    return {name: operation.input.signature(as_output=False) for name, operation in port.binding._operations.items()}


def call(client, options):
    service, port = find_port(client, options.soap)
    if options.address:
        proxy = client.create_service(port.binding.name, options.address)
    else:
        proxy = client.bind(service.name, port.name)
    arguments = json.loads(options.arguments)
    if options.header:
        arguments["_soapheaders"] = json.loads(options.header)
    try:
        result = proxy[options.operation](**arguments)
    except Fault as fault:
        return {"fault": {"code": fault.code, "message": fault.message, "detail": fault.detail}}
    return {"result": serialize_object(result, target_cls=dict)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("wsdl")
    arguments.add_argument("--soap", choices=sorted(BINDINGS), default="1.1")
    arguments.add_argument("--address", help="call this URL instead of the one in the WSDL")
    arguments.add_argument("--header", help="SOAP header blocks: {name: value}")
    commands = arguments.add_subparsers(required=True)
    commands.add_parser("operations").set_defaults(run=operations)
    calling = commands.add_parser("call")
    calling.add_argument("operation")
    calling.add_argument("arguments")
    calling.set_defaults(run=call)
    options = arguments.parse_args()
    try:
        transport = Transport(timeout=TIMEOUT_SECONDS, operation_timeout=TIMEOUT_SECONDS)
        client = Client(options.wsdl, transport=transport, settings=Settings(strict=True))
        print(json.dumps(options.run(client, options), default=plain))
    except Exception as error:  # the boundary of the script: every failure becomes one line and exit code 1
        sys.exit(f"zeep: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
