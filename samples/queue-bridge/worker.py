"""A worker of another make for the queue `prices`: answers each question to its `reply_to`, with its correlation id.

  pip install pika
  python3 worker.py [amqp://guest:guest@localhost:5672]
"""

import json
import sys

import pika

PRICES = {"IBM": 94.0, "SAP": 221.5}


def answer(channel, method, question, body):
    symbol = json.loads(body)["symbol"]
    if symbol in PRICES:
        reply = {"symbol": symbol, "price": PRICES[symbol], "currency": "USD"}
    else:
        reply = {"error": f"There is no price for {symbol}."}
    properties = pika.BasicProperties(correlation_id=question.correlation_id, content_type="application/json")
    channel.basic_publish("", question.reply_to, json.dumps(reply), properties)
    channel.basic_ack(method.delivery_tag)


url = sys.argv[1] if len(sys.argv) > 1 else "amqp://guest:guest@localhost:5672"
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
channel.queue_declare("prices", durable=True, arguments={"x-queue-type": "quorum"})
channel.basic_consume("prices", answer)
print("listening prices", flush=True)
channel.start_consuming()
