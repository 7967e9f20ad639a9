//! Document order.
//!
//! Parsing hands out ids in document order, and appending at the end keeps it so; comparing is then
//! comparing numbers. Other edits break this, and ranks are counted once when somebody next asks.

use super::{Document, NodeId};
use std::cmp::Ordering;
use std::sync::OnceLock;

impl Document {
    /// Whether ids are in document order.
    pub fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Compares two nodes by document order.
    pub fn compare(&self, left: NodeId, right: NodeId) -> Ordering {
        if self.ordered {
            left.cmp(&right)
        } else {
            self.rank(left).cmp(&self.rank(right))
        }
    }

    /// The place of the node in document order.
    pub(crate) fn rank(&self, id: NodeId) -> u32 {
        if self.ordered {
            return u32::try_from(id.index()).unwrap_or(u32::MAX);
        }
        self.ranks.get_or_init(|| self.count_ranks())[id.index()]
    }

    fn count_ranks(&self) -> Box<[u32]> {
        let mut ranks = vec![0; self.nodes.len()].into_boxed_slice();
        let mut rank = 0;
        let tops = (0..self.nodes.len())
            .map(NodeId::from_index)
            .filter(|&id| self.parent(id).is_none());
        for top in tops {
            for id in std::iter::once(top).chain(self.descendants(top)) {
                ranks[id.index()] = rank;
                rank += 1;
            }
        }
        ranks
    }

    /// Notes that the structure changed at `parent`: the source text above it no longer holds.
    pub(crate) fn touch(&mut self, parent: NodeId) {
        let mut current = Some(parent);
        while let Some(id) = current {
            let node = self.node_mut(id);
            if std::mem::take(&mut node.end) == 0 && id != parent {
                break;
            }
            current = node.parent;
        }
    }

    /// Notes that nodes moved against the order of their ids.
    pub(crate) fn disorder(&mut self) {
        self.ordered = false;
        self.ranks = OnceLock::new();
    }

    /// Notes that the new node `id` became the last child of `parent`.
    pub(crate) fn note_appended(&mut self, parent: NodeId, id: NodeId) {
        if self.ordered && self.is_open(parent) {
            self.tail = id;
        } else {
            self.disorder();
        }
    }

    /// Notes that the subtree `id` was linked before `before`, or at the end of `parent`.
    pub(super) fn note_linked(&mut self, parent: NodeId, before: Option<NodeId>, id: NodeId) {
        let mut last = self.tail;
        let mut follows = |node: NodeId| std::mem::replace(&mut last, node) < node;
        let in_order = self.ordered && before.is_none() && self.is_open(parent);
        if in_order && follows(id) && self.descendants(id).all(follows) {
            self.tail = self.descendants(id).last().unwrap_or(id);
        } else {
            self.disorder();
        }
    }

    /// Whether `parent` is the last node in document order or one of its ancestors.
    fn is_open(&self, parent: NodeId) -> bool {
        let mut current = Some(self.tail);
        while let Some(id) = current {
            if id == parent {
                return true;
            }
            if id < parent {
                return false;
            }
            current = self.parent(id);
        }
        false
    }
}
