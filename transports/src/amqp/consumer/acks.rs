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
    /// How many of these the broker has still to be told of.
    untold: usize,
    orders: Vec<Order>,
}

impl Default for Acks {
    fn default() -> Self {
        Self {
            next: 1,
            settled: BTreeMap::new(),
            untold: 0,
            orders: Vec::new(),
        }
    }
}

impl Acks {
    /// Notes that a delivery is settled.
    pub(super) fn settle(&mut self, tag: u64, verdict: Verdict) {
        let acknowledged = verdict == Verdict::Ack;
        if !acknowledged {
            let requeue = verdict == Verdict::Requeue;
            self.orders.push(Order::Nack { tag, requeue });
        }
        self.untold += usize::from(acknowledged);
        self.settled.insert(tag, acknowledged);
    }

    /// How many acknowledgements wait for one before them.
    pub(super) fn untold(&self) -> usize {
        self.untold
    }

    /// What to tell the broker now. Acknowledgements that nothing keeps from being one are one.
    pub(super) fn orders(&mut self) -> Vec<Order> {
        let mut orders = std::mem::take(&mut self.orders);
        let mut last = None;
        while let Some(entry) = self
            .settled
            .first_entry()
            .filter(|entry| *entry.key() == self.next)
        {
            if entry.remove() {
                last = Some(self.next);
                self.untold -= 1;
            }
            self.next += 1;
        }
        orders.extend(last.map(|tag| Order::Ack { tag, multiple: true }));
        orders
    }

    /// All that is left to tell: one by one what waits for a delivery before it.
    pub(super) fn rest(&mut self) -> Vec<Order> {
        let mut orders = self.orders();
        for (tag, untold) in &mut self.settled {
            if std::mem::take(untold) {
                orders.push(Order::Ack {
                    tag: *tag,
                    multiple: false,
                });
            }
        }
        self.untold = 0;
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
        assert_eq!(acks.orders(), [multiple(3)]);
        assert_eq!(acks.untold(), 1);
        assert_eq!(acks.rest(), [single(5)]);
        assert_eq!((acks.rest(), acks.untold()), (vec![], 0));
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
        acks.settle(10, Verdict::Ack);
        acks.settle(8, Verdict::Ack);
        assert_eq!(acks.rest(), [multiple(8), single(10)]);
        acks.settle(9, Verdict::Ack);
        assert_eq!((acks.orders(), acks.untold()), (vec![multiple(9)], 0));
    }
}
