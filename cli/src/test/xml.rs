//! XML in a form in which two documents are equal exactly if they mean the same: names with their namespaces,
//! attributes in order, no prefixes, no comments, no blanks between elements. One line per element or text, so that
//! the same form serves for showing what differs.

use xml::{Document, NodeId, NodeKind};

/// The lines of a document.
///
/// # Errors
/// Where it is not well-formed.
pub(super) fn canonical(text: &str) -> Result<String, String> {
    let document = Document::parse_str(text).map_err(|error| error.to_string())?;
    let mut out = String::new();
    if let Some(root) = document.root_element() {
        element(&document, root, "", 0, &mut out);
    }
    Ok(out)
}

/// Deeper elements are written without indentation; the parser limits the depth.
const INDENT_MAX: usize = 40;

fn element(document: &Document, id: NodeId, outer: &str, depth: usize, out: &mut String) {
    let Some(name) = document.name(id) else { return };
    let indent = "  ".repeat(depth.min(INDENT_MAX));
    let mut tag = format!("{indent}<{}", name.local);
    if name.namespace != outer {
        tag.push_str(&format!(" xmlns=\"{}\"", name.namespace));
    }
    let mut attributes: Vec<String> = document
        .attributes(id)
        .map(|attribute| {
            let namespace = attribute.name.namespace;
            let prefix = if namespace.is_empty() {
                String::new()
            } else {
                format!("{{{namespace}}}")
            };
            format!(" {prefix}{}=\"{}\"", attribute.name.local, attribute.value)
        })
        .collect();
    attributes.sort();
    out.push_str(&format!("{tag}{}>\n", attributes.concat()));
    children(document, id, name.namespace, depth, out);
}

/// Adjacent text counts as one; blank text counts only where there is nothing else.
fn children(document: &Document, id: NodeId, namespace: &str, depth: usize, out: &mut String) {
    let indent = "  ".repeat((depth + 1).min(INDENT_MAX));
    let mut text = String::new();
    let flush = |text: &mut String, out: &mut String| {
        let trimmed = text.trim();
        if !trimmed.is_empty() {
            out.push_str(&format!("{indent}{trimmed:?}\n"));
        }
        text.clear();
    };
    for child in document.children(id) {
        match document.kind(child) {
            NodeKind::Element => {
                flush(&mut text, out);
                element(document, child, namespace, depth + 1, out);
            }
            NodeKind::Text | NodeKind::CData => text.push_str(document.text(child).unwrap_or_default()),
            _ => {}
        }
    }
    flush(&mut text, out);
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn what_means_the_same_is_the_same() {
        let one = canonical("<a:x xmlns:a='u' b='1' c='2'>\n  <a:y>t<![CDATA[&]]></a:y><!-- c -->\n</a:x>")
            .unwrap();
        let other = canonical("<x xmlns='u' c='2' b='1'><y>t&amp;</y></x>").unwrap();
        assert_eq!(one, other);
        assert_eq!(one, "<x xmlns=\"u\" b=\"1\" c=\"2\">\n  <y>\n    \"t&\"\n");
    }

    #[test]
    fn what_does_not_is_not() {
        let base = canonical("<x a='1'><y/>t</x>").unwrap();
        for other in [
            "<x a='2'><y/>t</x>",
            "<x a='1'>t<y/></x>",
            "<x a='1' xmlns='u'><y/>t</x>",
            "<x a='1'><y/></x>",
        ] {
            assert_ne!(canonical(other).unwrap(), base, "{other}");
        }
        assert!(canonical("<x>").is_err());
    }
}
