"""A SOAP stock quote service made with spyne: a foreign implementation for the gateway to talk to.

Prints `listening URL` once it accepts connections; the WSDL is at URL + `?wsdl`. Operations, all in the
namespace http://services.samples:

  getQuote(request{symbol})        the classic quote; an unknown symbol is a Client fault with a detail
  getQuotes(request{symbol*})      the same for a list (repeated elements both ways)
  buyStocks(order*)                requires the SOAP header `routing` (text) and answers with it

Runs until it is killed, or until standard input ends when started with --until-eof.
"""

import argparse
import logging
import sys
import threading
from decimal import Decimal
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from spyne import Application, ComplexModel, Decimal as DecimalType, Fault, Integer, ServiceBase, Unicode, XmlData, rpc
from spyne.protocol.soap import Soap11, Soap12
from spyne.server.wsgi import WsgiApplication

NAMESPACE = "http://services.samples"

# symbol: last, change, open, high, low, volume, name
QUOTES = {
    "IBM": ("140.34", "-1.20", "141.50", "142.10", "139.80", 18_250, "International Business Machines"),
    "MSFT": ("27.03", "0.42", "26.60", "27.25", "26.51", 52_000, "Microsoft Corporation"),
    "SUN": ("5.99", "0.00", "6.01", "6.05", "5.90", 7_431, "Sun & Sons <Ltd>"),
}


class Model(ComplexModel):
    """Every type lives in the namespace of the service."""

    __namespace__ = NAMESPACE


class QuoteRequest(Model):
    symbol = Unicode(min_occurs=1, nillable=False)


class QuotesRequest(Model):
    symbol = Unicode(min_occurs=1, max_occurs="unbounded", nillable=False)


class Quote(Model):
    symbol = Unicode
    last = DecimalType
    change = DecimalType
    open = DecimalType
    high = DecimalType
    low = DecimalType
    volume = Integer
    name = Unicode


class Order(Model):
    symbol = Unicode(min_occurs=1, nillable=False)
    buyerID = Unicode(min_occurs=1, nillable=False)
    price = DecimalType(min_occurs=1, nillable=False)
    volume = Integer(min_occurs=1, nillable=False)


class Receipt(Model):
    routing = Unicode
    orders = Integer
    total = DecimalType


class Routing(Model):
    __type_name__ = "routing"
    value = XmlData(Unicode)


def quote(symbol):
    if symbol not in QUOTES:
        detail = {f"{{{NAMESPACE}}}UnknownSymbol": {f"{{{NAMESPACE}}}symbol": symbol}}
        raise Fault("Client", f"Unknown symbol: {symbol}", detail=detail)
    last, change, opening, high, low, volume, name = QUOTES[symbol]
    return Quote(
        symbol=symbol, last=Decimal(last), change=Decimal(change), open=Decimal(opening),
        high=Decimal(high), low=Decimal(low), volume=volume, name=name,
    )


class StockQuote(ServiceBase):
    @rpc(QuoteRequest.customize(min_occurs=1, nillable=False), _returns=Quote, _out_variable_name="return")
    def getQuote(ctx, request):
        return quote(request.symbol)

    @rpc(
        QuotesRequest.customize(min_occurs=1, nillable=False),
        _returns=Quote.customize(max_occurs="unbounded"),
        _out_variable_name="return",
    )
    def getQuotes(ctx, request):
        return [quote(symbol) for symbol in request.symbol]

    @rpc(
        Order.customize(min_occurs=1, max_occurs="unbounded", nillable=False),
        _returns=Receipt,
        _in_header=(Routing,),
        _in_variable_names={"orders": "order"},
        _out_variable_name="return",
    )
    def buyStocks(ctx, orders):
        header = ctx.in_header
        if header is None or not header.value:
            raise Fault("Client", "The SOAP header 'routing' is required")
        total = sum(order.price * order.volume for order in orders)
        return Receipt(routing=header.value, orders=len(orders), total=total)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_):
        """Access lines would only hide the messages of a failure."""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--soap", choices=["1.1", "1.2"], default="1.1")
    arguments.add_argument("--until-eof", action="store_true")
    options = arguments.parse_args()
    logging.getLogger("spyne.application.client").disabled = True  # a fault for the client is no news here
    protocol = Soap11 if options.soap == "1.1" else Soap12
    application = Application(
        [StockQuote], NAMESPACE, name="StockQuoteService",
        in_protocol=protocol(validator="lxml"), out_protocol=protocol(),
    )
    server = make_server("127.0.0.1", options.port, WsgiApplication(application), Server, QuietHandler)
    print(f"listening http://127.0.0.1:{server.server_port}/services/StockQuote", flush=True)
    if options.until_eof:
        threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
