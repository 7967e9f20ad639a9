"""An AMQP 0-9-1 client made with pika.

  amqp.py --url URL [--ca PEM] COMMAND ...

  declare QUEUE [--arguments JSON] [--transient] [--exchange NAME --type TYPE --key KEY]
      the queue, durable unless told otherwise; with --exchange also the exchange and the binding
  publish [--exchange NAME] [--key KEY] (--messages FILE | --count N [--size BYTES]) [--prefix TEXT] [--mandatory]
      persistent, with confirms that are awaited together. FILE holds one JSON object a line: {body | hex,
      headers, properties}. --count makes the bodies PREFIX0, PREFIX1 and so on, filled up with dots. Prints
      {confirmed, refused, returned}; the first two count messages, the last one lists reply texts.
  consume QUEUE --count N [--timeout SECONDS] [--no-ack]
      prints a JSON object per message: {body | hex, headers, properties, redelivered, exchange, key}; ends
      after N messages or when the time is up, whichever is first. --no-ack gives the messages back.
  depth QUEUE
      prints {messages, consumers}
  call QUEUE BODY [--exchange NAME] [--timeout SECONDS] [--properties JSON]
      a request with reply_to and correlation_id; prints the reply as `consume` does
  serve QUEUE [--prefix TEXT]
      prints `listening QUEUE`, then answers each request with PREFIX + body to its reply_to, with its
      correlation id, and prints the request; ends with standard input

A failure is one line on standard error and exit code 1.
"""

import argparse
import json
import ssl
import sys
import threading
import time
import uuid

import pika

SOCKET_SECONDS = 20
# Confirms under way; a limit, so that a slow broker does not make the client hold everything.
WINDOW = 2000


def parameters(options):
    parameters = pika.URLParameters(options.url)
    parameters.socket_timeout = parameters.stack_timeout = SOCKET_SECONDS
    parameters.blocked_connection_timeout = SOCKET_SECONDS
    if options.ca:
        context = ssl.create_default_context(cafile=options.ca)
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
    return parameters


def connect(options):
    connection = pika.BlockingConnection(parameters(options))
    return connection, connection.channel()


def as_json(body, properties, method):
    """What came, as text where it is UTF-8."""
    try:
        shown = {"body": body.decode()}
    except UnicodeDecodeError:
        shown = {"hex": body.hex()}
    named = {name: value for name, value in vars(properties).items() if value is not None and name != "headers"}
    shown |= {"headers": properties.headers or {}, "properties": named}
    shown |= {"redelivered": method.redelivered, "exchange": method.exchange, "key": method.routing_key}
    return json.dumps(shown, default=str)


def declare(options):
    connection, channel = connect(options)
    channel.queue_declare(options.queue, durable=not options.transient, arguments=json.loads(options.arguments))
    if options.exchange:
        channel.exchange_declare(options.exchange, options.type, durable=True)
        channel.queue_bind(options.queue, options.exchange, options.key)
    connection.close()


def messages(options):
    """Bodies with their properties."""
    if options.messages is None:
        for number in range(options.count):
            text = f"{options.prefix}{number}"
            yield text.ljust(options.size, ".").encode(), pika.BasicProperties(delivery_mode=2)
        return
    with open(options.messages, encoding="utf-8") as file:
        for line in file:
            message = json.loads(line)
            body = bytes.fromhex(message["hex"]) if "hex" in message else message["body"].encode()
            named = {"delivery_mode": 2} | message.get("properties", {})
            yield body, pika.BasicProperties(headers=message.get("headers"), **named)


class Publisher:
    """Publishes without waiting for each confirm, which BlockingConnection cannot."""

    def __init__(self, options):
        self.options, self.messages, self.ended = options, messages(options), False
        self.pending, self.next_tag, self.counts, self.returned = set(), 1, {"ack": 0, "nack": 0}, []
        self.failure = "the connection was closed"
        self.connection = pika.SelectConnection(
            parameters(options), self.on_open, lambda _, error: self.fail(error), lambda _, error: self.fail(error)
        )

    def fail(self, error):
        self.failure = error
        self.connection.ioloop.stop()

    def on_open(self, connection):
        connection.channel(on_open_callback=self.on_channel)

    def on_channel(self, channel):
        self.channel = channel
        channel.add_on_close_callback(lambda _, error: self.fail(error))
        channel.add_on_return_callback(lambda _, method, *rest: self.returned.append(method.reply_text))
        channel.confirm_delivery(self.on_confirm, callback=lambda _: self.fill())

    def fill(self):
        while len(self.pending) < WINDOW and not self.ended:
            message = next(self.messages, None)
            if message is None:
                self.ended = True
                break
            body, properties = message
            self.pending.add(self.next_tag)
            self.next_tag += 1
            self.channel.basic_publish(
                self.options.exchange, self.options.key, body, properties, mandatory=self.options.mandatory
            )
        if self.ended and not self.pending:
            self.failure = None
            self.connection.ioloop.stop()

    def on_confirm(self, frame):
        kind, tag = frame.method.NAME.split(".")[1].lower(), frame.method.delivery_tag
        done = {pending for pending in self.pending if pending <= tag} if frame.method.multiple else {tag}
        self.counts[kind] += len(done)
        self.pending -= done
        if len(self.pending) < WINDOW // 2:
            self.fill()

    def run(self):
        self.connection.ioloop.start()
        result = {"confirmed": self.counts["ack"], "refused": self.counts["nack"], "returned": self.returned}
        print(json.dumps(result))
        if self.failure is not None:
            raise ConnectionError(repr(self.failure))


def publish(options):
    Publisher(options).run()


def consume(options):
    connection, channel = connect(options)
    channel.basic_qos(prefetch_count=min(options.count, 1000))
    deadline, received = time.monotonic() + options.timeout, 0

    def on_message(_, method, properties, body):
        nonlocal received
        if received == options.count:
            return
        received += 1
        print(as_json(body, properties, method))
        if not options.no_ack:
            channel.basic_ack(method.delivery_tag)

    channel.basic_consume(options.queue, on_message)
    while received < options.count and (left := deadline - time.monotonic()) > 0:
        connection.process_data_events(time_limit=left if received == 0 else min(left, 0.1))
    connection.close()  # what is not acknowledged goes back to the queue


def depth(options):
    connection, channel = connect(options)
    method = channel.queue_declare(options.queue, passive=True).method
    print(json.dumps({"messages": method.message_count, "consumers": method.consumer_count}))
    connection.close()


def call(options):
    connection, channel = connect(options)
    replies, correlation = [], str(uuid.uuid4())
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_consume(queue, lambda _, *reply: replies.append(reply), auto_ack=True)
    named = {"correlation_id": correlation, "reply_to": queue} | json.loads(options.properties)
    channel.basic_publish(options.exchange, options.queue, options.body.encode(), pika.BasicProperties(**named))
    deadline = time.monotonic() + options.timeout
    while not replies and (left := deadline - time.monotonic()) > 0:
        connection.process_data_events(time_limit=left)
    connection.close()
    if not replies:
        raise TimeoutError(f"no reply within {options.timeout} s")
    method, properties, body = replies[0]
    if properties.correlation_id != named["correlation_id"]:
        raise ValueError(f"correlation id {properties.correlation_id!r} instead of {named['correlation_id']!r}")
    print(as_json(body, properties, method))


def serve(options):
    connection, channel = connect(options)
    channel.queue_declare(options.queue, durable=True)
    channel.basic_qos(prefetch_count=100)

    def on_request(_, method, properties, body):
        print(as_json(body, properties, method), flush=True)
        if properties.reply_to:
            reply = pika.BasicProperties(correlation_id=properties.correlation_id, content_type=properties.content_type)
            channel.basic_publish("", properties.reply_to, options.prefix.encode() + body, reply)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(options.queue, on_request)
    end = lambda: (sys.stdin.read(), connection.add_callback_threadsafe(channel.stop_consuming))
    threading.Thread(target=end, daemon=True).start()
    print(f"listening {options.queue}", flush=True)
    channel.start_consuming()
    connection.close()


def read_arguments():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--ca")
    commands = arguments.add_subparsers(required=True)

    def command(run, *names):
        parser = commands.add_parser(run.__name__)
        parser.set_defaults(run=run)
        for name in names:
            parser.add_argument(name)
        return parser

    declaring = command(declare, "queue")
    declaring.add_argument("--arguments", default="{}")
    declaring.add_argument("--transient", action="store_true")
    declaring.add_argument("--exchange")
    declaring.add_argument("--type", default="direct")
    declaring.add_argument("--key", default="")
    publishing = command(publish)
    publishing.add_argument("--exchange", default="")
    publishing.add_argument("--key", default="")
    publishing.add_argument("--messages")
    publishing.add_argument("--count", type=int, default=1)
    publishing.add_argument("--size", type=int, default=0)
    publishing.add_argument("--prefix", default="")
    publishing.add_argument("--mandatory", action="store_true")
    consuming = command(consume, "queue")
    consuming.add_argument("--count", type=int, required=True)
    consuming.add_argument("--timeout", type=float, default=10)
    consuming.add_argument("--no-ack", action="store_true")
    command(depth, "queue")
    calling = command(call, "queue", "body")
    calling.add_argument("--exchange", default="")
    calling.add_argument("--timeout", type=float, default=10)
    calling.add_argument("--properties", default="{}")
    serving = command(serve, "queue")
    serving.add_argument("--prefix", default="")
    return arguments.parse_args()


def main():
    options = read_arguments()
    try:
        options.run(options)
    except Exception as error:  # the boundary of the script: every failure becomes one line and exit code 1
        sys.exit(f"pika: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
