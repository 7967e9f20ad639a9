//! The thirteen axes (XPath 1.0 section 2.2), each walked lazily in axis order.

use super::expression::Axis;
use super::node::{NamespaceNode, Node, is_visible, top_of};
use crate::symbols::Symbol;
use crate::tree::{AttributeId, Document, NodeId};

/// The nodes of an axis, nearest first. Text that XPath does not count as a node may be among them; see
/// [`is_visible`].
pub(super) struct Walk<'a> {
    document: &'a Document,
    state: State,
}

enum State {
    /// At most one node that is not walked on from.
    One(Option<Node>),
    Siblings {
        next: Option<NodeId>,
        backward: bool,
    },
    /// Nodes after `current` in document order, below `top`.
    Below {
        current: NodeId,
        top: NodeId,
        itself: bool,
    },
    Ancestors {
        itself: Option<Node>,
        next: Option<NodeId>,
    },
    Following {
        next: Option<NodeId>,
        top: NodeId,
    },
    Preceding {
        current: NodeId,
        ancestor: Option<NodeId>,
    },
    Attributes {
        owner: NodeId,
        next: Option<AttributeId>,
    },
    Namespaces(std::vec::IntoIter<NamespaceNode>),
}

impl<'a> Walk<'a> {
    pub(super) fn new(document: &'a Document, axis: Axis, node: Node) -> Self {
        let state = match node {
            Node::Tree(id) => from_tree(document, axis, id),
            Node::Attribute { owner, .. } => from_leaf(document, axis, node, owner),
            Node::Namespace(NamespaceNode { owner, .. }) => from_leaf(document, axis, node, owner),
        };
        Self { document, state }
    }
}

fn from_tree(document: &Document, axis: Axis, id: NodeId) -> State {
    let siblings = |next, backward| State::Siblings { next, backward };
    match axis {
        Axis::Itself => State::One(Some(Node::Tree(id))),
        Axis::Parent => State::One(document.parent(id).map(Node::Tree)),
        Axis::Child => siblings(document.first_child(id), false),
        Axis::FollowingSibling => siblings(document.next_sibling(id), false),
        Axis::PrecedingSibling => siblings(document.previous_sibling(id), true),
        Axis::Descendant => State::Below {
            current: id,
            top: id,
            itself: false,
        },
        Axis::DescendantOrSelf => State::Below {
            current: id,
            top: id,
            itself: true,
        },
        Axis::Ancestor => State::Ancestors {
            itself: None,
            next: document.parent(id),
        },
        Axis::AncestorOrSelf => State::Ancestors {
            itself: None,
            next: Some(id),
        },
        Axis::Following => {
            let top = top_of(document, id);
            State::Following {
                next: document.following_past(id, top),
                top,
            }
        }
        Axis::Preceding => State::Preceding {
            current: id,
            ancestor: document.parent(id),
        },
        Axis::Attribute => State::Attributes {
            owner: id,
            next: document.attributes(id).next().map(|first| first.id),
        },
        Axis::Namespace => State::Namespaces(namespaces(document, id).into_iter()),
    }
}

/// The axes of attributes and namespaces: they have no children and no siblings, and everything inside
/// their element follows them.
fn from_leaf(document: &Document, axis: Axis, node: Node, owner: NodeId) -> State {
    match axis {
        Axis::Itself | Axis::DescendantOrSelf => State::One(Some(node)),
        Axis::Parent => State::One(Some(Node::Tree(owner))),
        Axis::Ancestor => State::Ancestors {
            itself: None,
            next: Some(owner),
        },
        Axis::AncestorOrSelf => State::Ancestors {
            itself: Some(node),
            next: Some(owner),
        },
        Axis::Following => {
            let top = top_of(document, owner);
            State::Following {
                next: document.following_below(owner, top),
                top,
            }
        }
        Axis::Preceding => State::Preceding {
            current: owner,
            ancestor: document.parent(owner),
        },
        _ => State::One(None),
    }
}

/// The namespace nodes of an element: what is in scope, and `xml`.
fn namespaces(document: &Document, owner: NodeId) -> Vec<NamespaceNode> {
    if !document.is_element(owner) {
        return Vec::new();
    }
    let in_scope = document.scope(owner);
    let bound = in_scope
        .into_iter()
        .filter(|&(_, namespace)| namespace != Symbol::EMPTY);
    let xml = std::iter::once((Symbol::XML, Symbol::XML_NAMESPACE));
    let mut nodes: Vec<NamespaceNode> = bound
        .chain(xml)
        .map(|(prefix, namespace)| NamespaceNode {
            owner,
            prefix,
            namespace,
        })
        .collect();
    nodes.sort_by_key(|node| node.prefix.index());
    nodes
}

impl Iterator for Walk<'_> {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        let document = self.document;
        match &mut self.state {
            State::One(node) => node.take(),
            State::Siblings { next, backward } => {
                let id = (*next)?;
                *next = if *backward {
                    document.previous_sibling(id)
                } else {
                    document.next_sibling(id)
                };
                Some(Node::Tree(id))
            }
            State::Below { current, top, itself } => {
                if !std::mem::take(itself) {
                    *current = document.following_below(*current, *top)?;
                }
                Some(Node::Tree(*current))
            }
            State::Ancestors { itself, next } => {
                if let Some(node) = itself.take() {
                    return Some(node);
                }
                let id = (*next)?;
                *next = document.parent(id);
                Some(Node::Tree(id))
            }
            State::Following { next, top } => {
                let id = (*next)?;
                *next = document.following_below(id, *top);
                Some(Node::Tree(id))
            }
            State::Preceding { current, ancestor } => preceding(document, current, ancestor).map(Node::Tree),
            State::Attributes { owner, next } => {
                let id = (*next)?;
                *next = document.attributes[id.index()].next;
                Some(Node::Attribute { owner: *owner, id })
            }
            State::Namespaces(nodes) => nodes.next().map(Node::Namespace),
        }
    }
}

/// The node before `current` in document order that is not `ancestor` nor one of its ancestors.
fn preceding(document: &Document, current: &mut NodeId, ancestor: &mut Option<NodeId>) -> Option<NodeId> {
    loop {
        if let Some(mut node) = document.previous_sibling(*current) {
            while let Some(last) = document.last_child(node) {
                node = last;
            }
            *current = node;
            return Some(node);
        }
        let parent = document.parent(*current)?;
        *current = parent;
        if Some(parent) != *ancestor {
            return Some(parent);
        }
        *ancestor = document.parent(parent);
    }
}

/// Whether the node counts for XPath.
pub(super) fn counts(document: &Document, node: Node) -> bool {
    match node {
        Node::Tree(id) => is_visible(document, id),
        _ => true,
    }
}
