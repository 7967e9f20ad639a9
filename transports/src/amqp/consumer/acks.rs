//! Which deliveries of a channel are settled, so that one acknowledgement stands for as many as possible.

use std::collections::BTreeMap;

/// What the broker is told of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done with.
    Ack,
    /// It comes again, to whatever consumer.
    Requeue,
    /// The broker does with it what the queue's policy says.
    Reject,
}

/// A message to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Acknowledges a delivery; where `multiple`, all before it too.
    Ack { tag: u64, multiple: bool },
    /// Gives a delivery back.
    Nack { tag: u64, requeue: bool },
}

/// Settled deliveries of one channel, whose tags count from 1.
#[derive(Debug)]
pub(super) struct Acks {
    /// The lowest tag that is not settled.
    next: u64,
    /// Settled ones above it, and whether the broker has still to be told.
    settled: BTreeMap<u64, bool>,
    orders: Vec<Order>,
}

impl Default for Acks {
    fn default() -> Self {
        Self {
            next: 1,
            settled: BTreeMap::new(),
            orders: Vec::new(),
        }
    }
}

impl Acks {
    /// Notes that a delivery is settled.
    pub(super) fn settle(&mut self, tag: u64, verdict: Verdict) {
        let requeue = verdict == Verdict::Requeue;
        if verdict != Verdict::Ack {
            self.orders.push(Order::Nack { tag, requeue });
        }
        self.settled.insert(tag, verdict == Verdict::Ack);
    }

    /// What to tell the broker now.
    pub(super) fn orders(&mut self) -> Vec<Order> {
        let mut orders = std::mem::take(&mut self.orders);
        let mut last = None;
        while let Some(untold) = self.settled.remove(&self.next) {
            if untold {
                last = Some(self.next);
            }
            self.next += 1;
        }
        orders.extend(last.map(|tag| Order::Ack { tag, multiple: true }));
        for (tag, untold) in &mut self.settled {
            if std::mem::take(untold) {
                orders.push(Order::Ack {
                    tag: *tag,
                    multiple: false,
                });
            }
        }
        orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_contiguous_is_acknowledged_at_once_and_the_rest_singly() {
        let mut acks = Acks::default();
        for tag in [1, 2, 3, 5] {
            acks.settle(tag, Verdict::Ack);
        }
        let multiple = |tag| Order::Ack { tag, multiple: true };
        let single = |tag| Order::Ack { tag, multiple: false };
        assert_eq!(acks.orders(), [multiple(3), single(5)]);
        assert_eq!(acks.orders(), []);
        acks.settle(4, Verdict::Requeue);
        let requeue = Order::Nack {
            tag: 4,
            requeue: true,
        };
        assert_eq!(acks.orders(), [requeue], "5 has been told already");
        acks.settle(6, Verdict::Ack);
        acks.settle(7, Verdict::Reject);
        let reject = Order::Nack {
            tag: 7,
            requeue: false,
        };
        assert_eq!(acks.orders(), [reject, multiple(6)]);
    }
}
