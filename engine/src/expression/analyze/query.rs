//! `xpath("...")` and `jsonpath("...")`: literal queries, compiled at load.

use super::{SlotSource, Walker, call_range, span};
use crate::expression::path::{Path, Root};
use minijinja::machinery::ast::{CallArg, Expr};
use smallvec::SmallVec;

impl Walker<'_> {
    /// `xpath("...")` and `jsonpath("...")`, compiled now. An optional second argument names what to search instead of the payload.
    pub(super) fn query(
        &mut self,
        expr: &Expr<'_>,
        function: &str,
        arguments: &[CallArg<'_>],
        optional: bool,
    ) {
        let range = call_range(self.source, expr);
        let (text, on) = match arguments {
            [CallArg::Pos(text)] => (
                text,
                Some(Ok(Path {
                    root: Root::Payload,
                    segments: SmallVec::new(),
                })),
            ),
            [CallArg::Pos(text), CallArg::Pos(on)] => (text, self.message_path(on)),
            _ => {
                return self.error(
                    range,
                    format!("`{function}` takes a text, and what to search"),
                    None,
                );
            }
        };
        let Some(Ok(on)) = on else {
            return self.error(
                range,
                format!("the second argument of `{function}` is a plain reference"),
                None,
            );
        };
        let literal = text.as_const();
        let Some(query) = literal.as_ref().and_then(|value| value.as_str()) else {
            let help =
                "values go in through variables: `xpath(\"//item[@id = $id]\")` reads `vars.id`".to_owned();
            return self.error(
                span(text),
                format!("`{function}` takes a literal text"),
                Some(help),
            );
        };
        match self.compile_query(function, query, on) {
            Ok(source) => self.slot(range, source, optional),
            Err((offset, message)) => {
                let start = (span(text).start + 1 + offset).min(range.end);
                self.error(
                    start..(start + 1).max(span(text).end.saturating_sub(1)),
                    message,
                    None,
                );
            }
        }
    }

    fn compile_query(&self, function: &str, query: &str, on: Path) -> Result<SlotSource, (usize, String)> {
        if function == "xpath" {
            let compiled = xml::xpath::XPath::compile(query, &self.scope.namespaces);
            let xpath = compiled.map_err(|error| (error.offset, format!("bad XPath: {}", error.message)))?;
            return Ok(SlotSource::XPath { xpath, on });
        }
        let parsed = serde_json_path::JsonPath::parse(query);
        let jsonpath =
            parsed.map_err(|error| (error.position(), format!("bad JSONPath: {}", error.message())))?;
        Ok(SlotSource::JsonPath {
            jsonpath: Box::new(jsonpath),
            on,
        })
    }
}
