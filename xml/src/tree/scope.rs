//! Namespace declarations under edits.

use super::{Content, DeclarationData, DeclarationId, Document, NodeId};
use crate::symbols::Symbol;

impl Document {
    /// Declares `prefix` on the element unless it already means `namespace` there.
    pub(super) fn require_binding(&mut self, id: NodeId, prefix: Symbol, namespace: Symbol) {
        if self.lookup_symbol(id, prefix).unwrap_or(Symbol::EMPTY) != namespace {
            self.bind(id, prefix, namespace, false);
        }
    }

    /// Sets the element's own declaration of `prefix`.
    pub(super) fn bind(&mut self, id: NodeId, prefix: Symbol, namespace: Symbol, carried: bool) {
        if !carried && self.first_child(id).is_some() {
            self.rescoped = true;
        }
        if let Some(found) = self.find_declaration(id, prefix) {
            let data = &mut self.declarations[found.index()];
            (data.namespace, data.carried) = (namespace, carried);
            return;
        }
        let new = DeclarationId::from_index(self.declarations.len());
        let last = self.declaration_ids(id).last();
        self.declarations.push(DeclarationData {
            prefix,
            namespace,
            carried,
            next: None,
        });
        match (last, &mut self.nodes[id.index()].content) {
            (Some(last), _) => self.declarations[last.index()].next = Some(new),
            (None, Content::Element(element)) => element.declarations = Some(new),
            (None, _) => {}
        }
    }

    /// A prefix for an attribute in `namespace`: `wanted` unless it means something else on the element,
    /// then one that is in scope, then a new one.
    pub(super) fn usable_prefix(&mut self, id: NodeId, wanted: Symbol, namespace: Symbol) -> Symbol {
        if self.can_mean(id, wanted, namespace) {
            return wanted;
        }
        let scope = self.scope(id);
        let known = scope.iter().find(|&&(prefix, bound)| {
            prefix != Symbol::EMPTY && bound == namespace && self.can_mean(id, prefix, namespace)
        });
        if let Some(&(prefix, _)) = known {
            return prefix;
        }
        for number in 0_u32.. {
            let prefix = self.symbols.intern(&format!("ns{number}"));
            if self.lookup_symbol(id, prefix).is_none() && self.can_mean(id, prefix, namespace) {
                return prefix;
            }
        }
        wanted
    }

    /// Whether nothing on the element itself gives `prefix` another meaning.
    fn can_mean(&self, id: NodeId, prefix: Symbol, namespace: Symbol) -> bool {
        let own = self.element(id).map(|element| self.symbols.parts(element.name));
        let declared = self.find_declaration(id, prefix);
        let is_other = |bound: Symbol| bound != namespace;
        !(own.is_some_and(|own| own.prefix == prefix && is_other(own.namespace))
            || declared.is_some_and(|found| is_other(self.declarations[found.index()].namespace))
            || self.attribute_uses(id, prefix, namespace))
    }

    /// Whether an attribute of the element uses `prefix` for another namespace.
    pub(super) fn attribute_uses(&self, id: NodeId, prefix: Symbol, namespace: Symbol) -> bool {
        prefix != Symbol::EMPTY
            && self.attributes(id).any(|attribute| {
                let parts = self.symbols.parts(self.attributes[attribute.id.index()].name);
                parts.prefix == prefix && parts.namespace != namespace
            })
    }

    /// The declarations in scope at a node, nearest first, each prefix once; `xml` is not among them, and
    /// an undeclared default namespace is there with the empty namespace only where `xmlns=""` says so.
    pub(crate) fn scope(&self, id: NodeId) -> Vec<(Symbol, Symbol)> {
        let mut scope: Vec<(Symbol, Symbol)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for node in std::iter::once(id).chain(self.ancestors(id)) {
            for declaration in self.declaration_ids(node) {
                let data = &self.declarations[declaration.index()];
                if data.prefix != Symbol::XML && seen.insert(data.prefix) {
                    scope.push((data.prefix, data.namespace));
                }
            }
        }
        scope
    }

    /// What a subtree takes along from its place: the declarations in scope, with those prefixes that the
    /// element itself uses meaning what they mean there. An edit further up may have bound them anew.
    pub(crate) fn own_scope(&self, id: NodeId) -> Vec<(Symbol, Symbol)> {
        let mut scope = self.scope(id);
        let name = self.element(id).map(|element| self.symbols.parts(element.name));
        let attributes = self
            .attributes(id)
            .map(|attribute| self.symbols.parts(self.attributes[attribute.id.index()].name));
        let attributes = attributes.filter(|parts| parts.prefix != Symbol::EMPTY);
        for used in name
            .into_iter()
            .chain(attributes)
            .filter(|parts| parts.prefix != Symbol::XML)
        {
            match scope.iter_mut().find(|(prefix, _)| *prefix == used.prefix) {
                Some((_, namespace)) => *namespace = used.namespace,
                None => scope.push((used.prefix, used.namespace)),
            }
        }
        scope
    }

    /// Lets a subtree that loses its place take along what is in scope there.
    pub(super) fn carry_scope(&mut self, id: NodeId, scope: &[(Symbol, Symbol)]) {
        for &(prefix, namespace) in scope {
            if self.find_declaration(id, prefix).is_none() {
                self.bind(id, prefix, namespace, true);
            }
        }
        if self.find_declaration(id, Symbol::EMPTY).is_none() {
            self.bind(id, Symbol::EMPTY, Symbol::EMPTY, true);
        }
    }

    /// Drops the carried declarations that the new place makes superfluous and keeps the others.
    pub(super) fn settle_scope(&mut self, id: NodeId) {
        let Some(parent) = self.parent(id) else { return };
        let mut kept: Vec<DeclarationId> = Vec::new();
        for declaration in self.declaration_ids(id).collect::<Vec<_>>() {
            let DeclarationData {
                prefix,
                namespace,
                carried,
                ..
            } = self.declarations[declaration.index()];
            let outside = self.lookup_symbol(parent, prefix).unwrap_or(Symbol::EMPTY);
            if !carried || outside != namespace {
                kept.push(declaration);
            }
        }
        for (index, declaration) in kept.iter().enumerate() {
            let data = &mut self.declarations[declaration.index()];
            data.carried = false;
            data.next = kept.get(index + 1).copied();
        }
        if let Content::Element(element) = &mut self.node_mut(id).content {
            element.declarations = kept.first().copied();
        }
    }
}
