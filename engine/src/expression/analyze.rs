//! The syntax tree of an expression or template, walked once at load: names are checked, and every reference to the message
//! becomes a slot.

mod query;
mod statements;

use super::environment::{FILTERS, FUNCTIONS, TESTS, syntax_error};
use super::path::{Path, ROOTS, Root, Segment};
use super::slot::{Slot, SlotSource};
use super::value::minijinja_to_json;
use super::{CompileError, Scope};
use crate::config::nearest;
use minijinja::machinery::ast::{CallArg, CallType, Expr};
use minijinja::machinery::{self};
use minijinja::syntax::SyntaxConfig;
use smallvec::SmallVec;
use std::ops::Range;

/// The names under which MiniJinja asks for slots.
pub(super) const SLOT_PREFIX: &str = "__slot_";

/// What analysis found.
pub(super) struct Analysis {
    pub slots: Vec<Slot>,
    /// The source with slots in place of references.
    pub rewritten: String,
    pub shape: Shape,
}

/// The simple shapes that need no interpreter.
pub(super) enum Shape {
    Constant(serde_json::Value),
    Slot,
    Mixed,
}

/// Analyses a bare expression.
pub(super) fn expression(source: &str, scope: &Scope) -> Result<Analysis, Vec<CompileError>> {
    let tree = machinery::parse_expr(source).map_err(|error| vec![syntax_error(&error)])?;
    let mut walker = Walker::new(source, scope);
    walker.expression(&tree, false);
    let shape = match tree.as_const() {
        Some(value) => Shape::Constant(minijinja_to_json(&value)),
        None if walker.is_one_slot() => Shape::Slot,
        None => Shape::Mixed,
    };
    walker.finish(shape)
}

/// Analyses a template with blocks.
pub(super) fn template(
    source: &str,
    syntax: SyntaxConfig,
    scope: &Scope,
) -> Result<Analysis, Vec<CompileError>> {
    let tree = machinery::parse(source, "template", syntax).map_err(|error| vec![syntax_error(&error)])?;
    let mut walker = Walker::new(source, scope);
    walker.statement(&tree);
    walker.finish(Shape::Mixed)
}

struct Walker<'a> {
    source: &'a str,
    scope: &'a Scope,
    slots: Vec<Slot>,
    edits: Vec<Range<usize>>,
    locals: Vec<String>,
    errors: Vec<CompileError>,
}

impl<'a> Walker<'a> {
    fn new(source: &'a str, scope: &'a Scope) -> Self {
        Self {
            source,
            scope,
            slots: Vec::new(),
            edits: Vec::new(),
            locals: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn is_one_slot(&self) -> bool {
        matches!(&self.edits[..], [edit] if *edit == whole(self.source))
    }

    fn finish(self, shape: Shape) -> Result<Analysis, Vec<CompileError>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let mut order: Vec<usize> = (0..self.edits.len()).collect();
        order.sort_by_key(|slot| self.edits[*slot].start);
        let mut rewritten = String::with_capacity(self.source.len());
        let mut copied = 0;
        for slot in order {
            let edit = &self.edits[slot];
            rewritten.push_str(&self.source[copied..edit.start]);
            rewritten.push_str(&format!("{SLOT_PREFIX}{slot}"));
            copied = edit.end;
        }
        rewritten.push_str(&self.source[copied..]);
        Ok(Analysis {
            slots: self.slots,
            rewritten,
            shape,
        })
    }

    fn error(&mut self, range: Range<usize>, message: String, help: Option<String>) {
        self.errors.push(CompileError { range, message, help });
    }

    fn slot(&mut self, range: Range<usize>, source: SlotSource, optional: bool) {
        self.slots.push(Slot {
            text: self.source[range.clone()].into(),
            optional,
            looped: false,
            source,
        });
        self.edits.push(range);
    }

    fn is_local(&self, name: &str) -> bool {
        name == "loop" || self.locals.iter().any(|local| local == name)
    }

    fn expression(&mut self, expr: &Expr<'_>, optional: bool) {
        if let Some(path) = self.message_path(expr) {
            let range = path_range(expr);
            match path {
                Ok(path) => self.slot(range, SlotSource::Path(path), optional),
                Err((message, help)) => self.error(range, message, help),
            }
            return;
        }
        match expr {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr, false);
                self.all([&slice.start, &slice.stop, &slice.step].into_iter().flatten());
            }
            Expr::UnaryOp(unary) => self.expression(&unary.expr, false),
            Expr::BinOp(binary) => self.all([&binary.left, &binary.right]),
            Expr::Compare(compare) => {
                self.expression(&compare.expr, false);
                self.all(compare.ops.iter().map(|op| &op.expr));
            }
            Expr::IfExpr(choice) => {
                self.all([&choice.test_expr, &choice.true_expr]);
                self.all(choice.false_expr.iter());
            }
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => {
                self.name("test", test.name, TESTS.iter().map(|(name, _)| *name), span(expr));
                if test.name == "matching" {
                    self.check_regex(test.args.first());
                }
                self.expression(&test.expr, matches!(test.name, "defined" | "undefined"));
                self.arguments(&test.args);
            }
            Expr::GetAttr(attribute) => self.expression(&attribute.expr, optional),
            Expr::GetItem(item) => {
                self.expression(&item.expr, optional);
                self.expression(&item.subscript_expr, false);
            }
            Expr::Call(call) => self.call(expr, call, optional),
            Expr::List(list) => self.all(&list.items),
            Expr::Tuple(tuple) => self.all(&tuple.items),
            Expr::Map(map) => self.all(map.keys.iter().chain(&map.values)),
        }
    }

    /// What a `for` block runs over. XML does not tell one element from a list of one, so a plain reference is made a list.
    fn looped(&mut self, expr: &Expr<'_>) {
        let before = self.slots.len();
        self.expression(expr, false);
        let is_plain = matches!(expr, Expr::Call(_)) || self.message_path(expr).is_some();
        if let ([slot], true) = (&mut self.slots[before..], is_plain) {
            slot.looped = true;
        }
    }

    fn all<'e, 's: 'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr<'s>>) {
        for expression in expressions {
            self.expression(expression, false);
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => {
                    self.expression(value, false);
                }
            }
        }
    }

    fn filter(&mut self, filter: &machinery::ast::Spanned<machinery::ast::Filter<'_>>) {
        self.name(
            "filter",
            filter.name,
            FILTERS.iter().map(|(name, _)| *name),
            offsets(filter.span()),
        );
        if matches!(filter.name, "matches" | "regex_replace") {
            self.check_regex(filter.args.first());
        }
        if let Some(value) = &filter.expr {
            self.expression(value, filter.name == "default");
        }
        self.arguments(&filter.args);
    }

    fn check_regex(&mut self, pattern: Option<&CallArg<'_>>) {
        let Some(CallArg::Pos(pattern)) = pattern else {
            return;
        };
        let Some(value) = pattern.as_const() else { return };
        if let Err(error) = regex::Regex::new(value.as_str().unwrap_or_default()) {
            let problem = error.to_string();
            let last_line = problem
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            self.error(
                span(pattern),
                format!("bad regular expression: {last_line}"),
                None,
            );
        }
    }

    fn name(
        &mut self,
        kind: &str,
        name: &str,
        known: impl Iterator<Item = &'static str>,
        range: Range<usize>,
    ) {
        let known: Vec<&str> = known.collect();
        if !known.contains(&name) {
            let range = self.narrow(range, name);
            let help = nearest(name, known).map(|near| format!("did you mean `{near}`?"));
            self.error(range, format!("unknown {kind} `{name}`"), help);
        }
    }

    /// The place of `name` within a wider range.
    fn narrow(&self, range: Range<usize>, name: &str) -> Range<usize> {
        let text = self.source.get(range.clone()).unwrap_or_default();
        text.rfind(name).map_or(range.clone(), |at| {
            range.start + at..range.start + at + name.len()
        })
    }

    fn call(
        &mut self,
        expr: &Expr<'_>,
        call: &machinery::ast::Spanned<machinery::ast::Call<'_>>,
        optional: bool,
    ) {
        match call.identify_call() {
            CallType::Function(name @ ("xpath" | "jsonpath")) => self.query(expr, name, &call.args, optional),
            CallType::Function(name) => {
                self.name(
                    "function",
                    name,
                    FUNCTIONS.iter().map(|(name, _)| *name),
                    span(&call.expr),
                );
                self.arguments(&call.args);
            }
            CallType::Method(Expr::Var(variable), _) if self.is_local(variable.id) => {
                self.arguments(&call.args);
            }
            CallType::Method(_, name) => {
                let help =
                    "values have no methods; write a filter, such as `payload.name | upper`".to_owned();
                self.error(
                    span(expr),
                    format!("`{name}()` cannot be called on a value"),
                    Some(help),
                );
            }
            _ => self.error(span(expr), "this cannot be called".to_owned(), None),
        }
    }

    /// The path of a plain reference to the message; `None` for anything else, an error for an unknown root.
    fn message_path(&self, expr: &Expr<'_>) -> Option<Result<Path, (String, Option<String>)>> {
        let mut segments: SmallVec<[Segment; 4]> = SmallVec::new();
        let mut current = expr;
        let root = loop {
            match current {
                Expr::Var(variable) => break variable.id,
                Expr::GetAttr(attribute) => {
                    segments.push(Segment::Key(attribute.name.into()));
                    current = &attribute.expr;
                }
                Expr::GetItem(item) => {
                    let subscript = item.subscript_expr.as_const()?;
                    let key = subscript.as_str().map(|key| Segment::Key(key.into()));
                    segments.push(key.or_else(|| subscript.as_i64().map(Segment::Index))?);
                    current = &item.expr;
                }
                _ => return None,
            }
        };
        if self.is_local(root) {
            return None;
        }
        segments.reverse();
        match Root::by_name(root) {
            Some(root) => Some(Ok(Path { root, segments })),
            None => Some(Err(unknown_root(root))),
        }
    }
}

fn unknown_root(name: &str) -> (String, Option<String>) {
    let help = match name {
        "env" | "secret" => Some(format!(
            "`${{{name}.NAME}}` is read at load and stands alone in its `${{ }}`"
        )),
        "id" | "type" => {
            Some("a name with a dash is written in brackets: `headers['content-type']`".to_owned())
        }
        _ => nearest(name, ROOTS.iter().map(|(root, _)| *root)).map(|near| format!("did you mean `{near}`?")),
    };
    let roots: Vec<&str> = ROOTS.iter().map(|(root, _)| *root).collect();
    (
        format!("unknown name `{name}`"),
        help.or_else(|| Some(format!("expressions start from {}", roots.join(", ")))),
    )
}

fn whole(source: &str) -> Range<usize> {
    let start = source.len() - source.trim_start().len();
    start..source.trim_end().len()
}

fn offsets(span: machinery::Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

fn span(expr: &Expr<'_>) -> Range<usize> {
    offsets(expr.span())
}

/// From the root's first character to the last bracket.
fn path_range(expr: &Expr<'_>) -> Range<usize> {
    let mut start = expr;
    loop {
        match start {
            Expr::GetAttr(attribute) => start = &attribute.expr,
            Expr::GetItem(item) => start = &item.expr,
            _ => return span(start).start..span(expr).end,
        }
    }
}

/// From the function's name to its closing bracket.
fn call_range(source: &str, expr: &Expr<'_>) -> Range<usize> {
    let Expr::Call(call) = expr else { return span(expr) };
    let start = span(&call.expr).start;
    let end = span(expr).end;
    if source[..end].ends_with(')') {
        start..end
    } else {
        start..source[end..].find(')').map_or(end, |at| end + at + 1)
    }
}
