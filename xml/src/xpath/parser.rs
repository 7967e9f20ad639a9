//! From tokens to the compiled form, by precedence climbing.

use super::expression::{Axis, Compiled, Expression, Operator, Predicate, Start, Step, Test, Type};
use super::function::{Core, Functions, Resolved};
use super::lexer::{Token, tokens};
use super::{Namespaces, XPathError, XPathErrorKind, plan};

/// Nested parentheses, predicates and calls at most.
const DEPTH_MAX: usize = 48;
/// Bytes of an expression at most.
const LENGTH_MAX: usize = 64 << 10;

pub(super) fn parse(
    text: &str,
    namespaces: &Namespaces,
    functions: &Functions,
) -> Result<Compiled, XPathError> {
    if text.len() > LENGTH_MAX {
        let message = format!("the expression is longer than {LENGTH_MAX} bytes");
        return Err(XPathError::new(XPathErrorKind::Syntax, LENGTH_MAX, message));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        namespaces,
        functions,
        names: Vec::new(),
        variables: Vec::new(),
    };
    let expression = parser.expression()?;
    if parser.peek() != Token::End {
        return Err(parser.unexpected());
    }
    Ok(Compiled {
        expression,
        names: parser.names,
        variables: parser.variables,
    })
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, usize)>,
    at: usize,
    depth: usize,
    namespaces: &'a Namespaces,
    functions: &'a Functions,
    names: Vec<(String, Option<String>)>,
    variables: Vec<String>,
}

type Parsed<T> = Result<T, XPathError>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens[self.at].0
    }

    fn peek_second(&self) -> Token<'a> {
        self.tokens
            .get(self.at + 1)
            .map_or(Token::End, |(token, _)| *token)
    }

    fn offset(&self) -> usize {
        self.tokens[self.at].1
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn accept(&mut self, token: Token<'_>) -> bool {
        let found = self.peek() == token;
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, token: Token<'_>) -> Parsed<()> {
        if self.accept(token) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn unexpected(&self) -> XPathError {
        self.syntax(match self.peek() {
            Token::End => "the expression ends too early",
            _ => "this cannot stand here",
        })
    }

    fn syntax(&self, message: &str) -> XPathError {
        XPathError::new(XPathErrorKind::Syntax, self.offset(), message)
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.syntax("the expression is nested too deeply"));
        }
        let expression = self.chain(1);
        self.depth -= 1;
        expression
    }

    /// Operators of precedence `level` and tighter.
    fn chain(&mut self, level: u8) -> Parsed<Expression> {
        match level {
            7 => return self.unary(),
            9 => return self.path(),
            _ => {}
        }
        let offset = self.offset();
        let mut first = self.chain(level + 1)?;
        let mut rest = Vec::new();
        while let Token::Operator(operator) = self.peek() {
            if operator.precedence() != level {
                break;
            }
            if operator == Operator::Union {
                self.require_nodes(if rest.is_empty() { Some(&first) } else { None }, offset)?;
            }
            self.advance();
            let operand_offset = self.offset();
            let operand = self.chain(level + 1)?;
            if operator == Operator::Union {
                self.require_nodes(Some(&operand), operand_offset)?;
            }
            rest.push((operator, operand));
        }
        if !rest.is_empty() {
            first = Expression::Chain {
                first: Box::new(first),
                rest,
                offset,
            };
        }
        Ok(first)
    }

    fn require_nodes(&self, expression: Option<&Expression>, offset: usize) -> Parsed<()> {
        match expression.map(Expression::value_type) {
            None | Some(Type::Nodes | Type::Unknown) => Ok(()),
            Some(_) => Err(XPathError::new(
                XPathErrorKind::Type,
                offset,
                "a node-set is needed here",
            )),
        }
    }

    /// Minus signs, of which every second one has no effect but to make a number.
    fn unary(&mut self) -> Parsed<Expression> {
        let mut signs = 0_usize;
        while self.accept(Token::Operator(Operator::Subtract)) {
            signs += 1;
        }
        let mut operand = self.chain(8)?;
        if signs > 0 {
            operand = Expression::Negate(Box::new(operand));
            if signs.is_multiple_of(2) {
                operand = Expression::Negate(Box::new(operand));
            }
        }
        Ok(operand)
    }

    fn path(&mut self) -> Parsed<Expression> {
        let offset = self.offset();
        let (start, mut steps) = match self.peek() {
            Token::Slash => {
                self.advance();
                if !self.begins_step() {
                    return Ok(finish(Start::Root, Vec::new(), offset));
                }
                (Start::Root, Vec::new())
            }
            Token::DoubleSlash => {
                self.advance();
                (Start::Root, vec![plan::any_descendant()])
            }
            _ if self.begins_primary() => return self.filtered_path(offset),
            _ => (Start::Context, Vec::new()),
        };
        self.steps(&mut steps)?;
        Ok(finish(start, steps, offset))
    }

    /// A primary expression with what follows it: predicates, and steps.
    fn filtered_path(&mut self, offset: usize) -> Parsed<Expression> {
        let mut base = self.primary()?;
        let is_filter = self.peek() == Token::OpenBracket;
        if is_filter || matches!(self.peek(), Token::Slash | Token::DoubleSlash) {
            self.require_nodes(Some(&base), offset)?;
        }
        if is_filter {
            let predicates = self.predicates()?;
            base = Expression::Filter {
                base: Box::new(base),
                predicates,
                offset,
            };
        }
        let mut steps = Vec::new();
        match self.peek() {
            Token::Slash => {}
            Token::DoubleSlash => steps.push(plan::any_descendant()),
            _ => return Ok(base),
        }
        self.advance();
        self.steps(&mut steps)?;
        Ok(finish(Start::Expression(Box::new(base)), steps, offset))
    }

    fn steps(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        loop {
            steps.push(self.step()?);
            match self.peek() {
                Token::Slash => {}
                Token::DoubleSlash => steps.push(plan::any_descendant()),
                _ => return Ok(()),
            }
            self.advance();
        }
    }

    fn begins_step(&self) -> bool {
        matches!(
            self.peek(),
            Token::Dot | Token::DoubleDot | Token::At | Token::Star | Token::Name { .. }
        )
    }

    fn begins_primary(&self) -> bool {
        match self.peek() {
            Token::Variable { .. } | Token::OpenParenthesis | Token::Literal(_) | Token::Number(_) => true,
            Token::Name { prefix, local } => {
                self.peek_second() == Token::OpenParenthesis && !(prefix.is_empty() && is_node_type(local))
            }
            _ => false,
        }
    }

    fn step(&mut self) -> Parsed<Step> {
        let simple = |axis| {
            Ok(Step {
                axis,
                test: Test::Node,
                among_siblings: None,
                predicates: Vec::new(),
            })
        };
        if self.accept(Token::Dot) {
            return simple(Axis::Itself);
        }
        if self.accept(Token::DoubleDot) {
            return simple(Axis::Parent);
        }
        let axis = self.axis()?;
        let test = self.test()?;
        let predicates = self.predicates()?;
        Ok(Step {
            axis,
            test,
            among_siblings: None,
            predicates,
        })
    }

    fn axis(&mut self) -> Parsed<Axis> {
        if self.accept(Token::At) {
            return Ok(Axis::Attribute);
        }
        let (Token::Name { prefix, local }, Token::DoubleColon) = (self.peek(), self.peek_second()) else {
            return Ok(Axis::Child);
        };
        let known = Axis::ALL
            .iter()
            .find(|(name, _)| prefix.is_empty() && *name == local);
        let Some((_, axis)) = known else {
            return Err(self.syntax("there is no such axis"));
        };
        self.advance();
        self.advance();
        Ok(*axis)
    }

    fn test(&mut self) -> Parsed<Test> {
        let offset = self.offset();
        let token = self.peek();
        match token {
            Token::Star => {
                self.advance();
                Ok(Test::Principal)
            }
            Token::Name { prefix: "", local } if self.peek_second() == Token::OpenParenthesis => {
                self.node_type(local)
            }
            Token::Name { prefix, local } => {
                self.advance();
                let local = (local != "*").then(|| local.to_owned());
                let namespace = self.namespace(prefix, offset)?.to_owned();
                let key = (namespace, local);
                let known = self.names.iter().position(|name| *name == key);
                Ok(Test::Name(known.unwrap_or_else(|| {
                    self.names.push(key);
                    self.names.len() - 1
                })))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn node_type(&mut self, name: &str) -> Parsed<Test> {
        let mut test = match name {
            "node" => Test::Node,
            "text" => Test::Text,
            "comment" => Test::Comment,
            "processing-instruction" => Test::Instruction(None),
            _ => return Err(self.syntax("a function cannot stand in the place of a step")),
        };
        self.advance();
        self.expect(Token::OpenParenthesis)?;
        if let (Test::Instruction(target), Token::Literal(literal)) = (&mut test, self.peek()) {
            *target = Some(literal.to_owned());
            self.advance();
        }
        self.expect(Token::CloseParenthesis)?;
        Ok(test)
    }

    fn namespace(&self, prefix: &str, offset: usize) -> Parsed<&'a str> {
        if prefix.is_empty() {
            return Ok("");
        }
        self.namespaces.lookup(prefix).ok_or_else(|| {
            let message = format!("the prefix {prefix:?} is not bound to a namespace");
            XPathError::new(XPathErrorKind::Prefix, offset, message)
        })
    }

    fn predicates(&mut self) -> Parsed<Vec<Predicate>> {
        let mut predicates = Vec::new();
        while self.accept(Token::OpenBracket) {
            predicates.push(plan::predicate(self.expression()?));
            self.expect(Token::CloseBracket)?;
        }
        Ok(predicates)
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let offset = self.offset();
        let token = self.peek();
        self.advance();
        match token {
            Token::Number(number) => Ok(Expression::Number(number)),
            Token::Literal(text) => Ok(Expression::Literal(text.to_owned())),
            Token::Variable { prefix, local } => self.variable(prefix, local, offset),
            Token::OpenParenthesis => {
                let inner = self.expression()?;
                self.expect(Token::CloseParenthesis)?;
                Ok(inner)
            }
            Token::Name { prefix, local } => self.call(prefix, local, offset),
            _ => Err(XPathError::new(
                XPathErrorKind::Syntax,
                offset,
                "expected an expression",
            )),
        }
    }

    fn variable(&mut self, prefix: &str, local: &str, offset: usize) -> Parsed<Expression> {
        let namespace = self.namespace(prefix, offset)?.to_owned();
        let written = if prefix.is_empty() {
            local.to_owned()
        } else {
            format!("{prefix}:{local}")
        };
        if !self.variables.contains(&written) {
            self.variables.push(written);
        }
        Ok(Expression::Variable {
            namespace,
            local: local.to_owned(),
            offset,
        })
    }

    fn call(&mut self, prefix: &str, local: &str, offset: usize) -> Parsed<Expression> {
        let namespace = self.namespace(prefix, offset)?;
        let resolved = self.functions.resolve(namespace, local).ok_or_else(|| {
            let message = self.functions.unknown(namespace, local);
            XPathError::new(XPathErrorKind::Function, offset, message)
        })?;
        let (arguments, offsets) = self.arguments()?;
        let (least, most) = resolved.arity();
        if arguments.len() < least || arguments.len() > most {
            let message = format!("{local}() does not take {} arguments", arguments.len());
            return Err(XPathError::new(XPathErrorKind::Function, offset, message));
        }
        match resolved {
            Resolved::Core(function) => {
                if function.takes_nodes() {
                    self.require_nodes(arguments.first(), offsets.first().copied().unwrap_or(offset))?;
                }
                Ok(call_core(function, arguments, offset))
            }
            Resolved::Custom(function) => Ok(Expression::Custom {
                function,
                arguments,
                offset,
            }),
        }
    }

    fn arguments(&mut self) -> Parsed<(Vec<Expression>, Vec<usize>)> {
        self.expect(Token::OpenParenthesis)?;
        let (mut arguments, mut offsets) = (Vec::new(), Vec::new());
        if self.accept(Token::CloseParenthesis) {
            return Ok((arguments, offsets));
        }
        loop {
            offsets.push(self.offset());
            arguments.push(self.expression()?);
            if !self.accept(Token::Comma) {
                break;
            }
        }
        self.expect(Token::CloseParenthesis)?;
        Ok((arguments, offsets))
    }
}

/// A call in which `string()`, `name()` and their like without argument are given the context node.
fn call_core(function: Core, mut arguments: Vec<Expression>, offset: usize) -> Expression {
    if arguments.is_empty() && function.defaults_to_context() {
        let step = Step {
            axis: Axis::Itself,
            test: Test::Node,
            among_siblings: None,
            predicates: Vec::new(),
        };
        arguments.push(finish(Start::Context, vec![step], offset));
    }
    Expression::Call {
        function,
        arguments,
        offset,
    }
}

fn finish(start: Start, steps: Vec<Step>, offset: usize) -> Expression {
    Expression::Path(plan::path(start, steps, offset))
}

fn is_node_type(name: &str) -> bool {
    matches!(name, "node" | "text" | "comment" | "processing-instruction")
}
