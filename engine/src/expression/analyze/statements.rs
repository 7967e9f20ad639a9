//! The blocks of templates, with the scopes of their local names.

use super::Walker;
use minijinja::machinery::ast::{Expr, Stmt};

impl Walker<'_> {
    pub(super) fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.block(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr, false),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                self.looped(&each.iter);
                self.scoped(|walker| {
                    walker.declare(&each.target);
                    walker.all(each.filter_expr.iter());
                    walker.block(&each.body);
                });
                self.block(&each.else_body);
            }
            Stmt::IfCond(choice) => {
                self.expression(&choice.expr, false);
                self.block(&choice.true_body);
                self.block(&choice.false_body);
            }
            Stmt::WithBlock(with) => self.scoped(|walker| {
                for (target, value) in &with.assignments {
                    walker.expression(value, false);
                    walker.declare(target);
                }
                walker.block(&with.body);
            }),
            Stmt::Set(set) => {
                self.expression(&set.expr, false);
                self.declare(&set.target);
            }
            Stmt::SetBlock(set) => {
                self.scoped(|walker| walker.block(&set.body));
                self.declare(&set.target);
            }
            Stmt::AutoEscape(escape) => self.block(&escape.body),
            Stmt::FilterBlock(block) => self.block(&block.body),
            _ => {
                let help = "templates have `for`, `if`, `set`, `with` and `filter` blocks".to_owned();
                self.error(
                    0..0,
                    "this block is not available in templates".to_owned(),
                    Some(help),
                );
            }
        }
    }

    fn block(&mut self, statements: &[Stmt<'_>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn scoped(&mut self, body: impl FnOnce(&mut Self)) {
        let depth = self.locals.len();
        body(self);
        self.locals.truncate(depth);
    }

    fn declare(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(variable) => self.locals.push(variable.id.to_owned()),
            Expr::List(list) => list.items.iter().for_each(|item| self.declare(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.declare(item)),
            _ => {}
        }
    }
}
