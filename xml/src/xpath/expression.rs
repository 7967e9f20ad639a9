//! The compiled form of an expression.

use super::function::{Core, Custom};

/// An expression with what was collected from it.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) expression: Expression,
    /// Namespaces and local names of all name tests; tests refer to them by number.
    pub(crate) names: Vec<(String, Option<String>)>,
    pub(crate) variables: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Number(f64),
    Literal(String),
    Variable {
        namespace: String,
        local: String,
        offset: usize,
    },
    Negate(Box<Expression>),
    /// Operators of one precedence, applied from the left. Flat, so that long chains do not nest.
    Chain {
        first: Box<Expression>,
        rest: Vec<(Operator, Expression)>,
        offset: usize,
    },
    Call {
        function: Core,
        arguments: Vec<Expression>,
        offset: usize,
    },
    Custom {
        function: Custom,
        arguments: Vec<Expression>,
        offset: usize,
    },
    Filter {
        base: Box<Expression>,
        predicates: Vec<Predicate>,
        offset: usize,
    },
    Path(Path),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Union,
}

impl Operator {
    /// How tightly the operator binds; larger is tighter.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal | Self::NotEqual => 3,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 4,
            Self::Add | Self::Subtract => 5,
            Self::Multiply | Self::Divide | Self::Modulo => 6,
            Self::Union => 8,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) start: Start,
    pub(crate) steps: Vec<Step>,
    pub(crate) offset: usize,
    /// Whether walking the steps depth first yields each node once and in document order.
    pub(crate) streams: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Start {
    Root,
    Context,
    Expression(Box<Expression>),
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) axis: Axis,
    pub(crate) test: Test,
    /// Only the child of this number among its siblings that pass the test: `//x[2]`, walked as one
    /// descendant step.
    pub(crate) among_siblings: Option<usize>,
    pub(crate) predicates: Vec<Predicate>,
}

/// A predicate and what can be known of it beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Predicate {
    pub(crate) expression: Expression,
    /// The position, when the predicate is that number.
    pub(crate) position: Option<usize>,
    /// Whether its value may be a number, and then means a position.
    pub(crate) may_be_number: bool,
    pub(crate) uses_position: bool,
    pub(crate) uses_last: bool,
}

impl Predicate {
    /// Whether the place of a node among others can matter.
    pub(crate) fn is_positional(&self) -> bool {
        self.may_be_number || self.uses_position || self.uses_last
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Ancestor,
    AncestorOrSelf,
    Attribute,
    Child,
    Descendant,
    DescendantOrSelf,
    Following,
    FollowingSibling,
    Namespace,
    Parent,
    Preceding,
    PrecedingSibling,
    Itself,
}

impl Axis {
    pub(crate) const ALL: [(&'static str, Self); 13] = [
        ("ancestor", Self::Ancestor),
        ("ancestor-or-self", Self::AncestorOrSelf),
        ("attribute", Self::Attribute),
        ("child", Self::Child),
        ("descendant", Self::Descendant),
        ("descendant-or-self", Self::DescendantOrSelf),
        ("following", Self::Following),
        ("following-sibling", Self::FollowingSibling),
        ("namespace", Self::Namespace),
        ("parent", Self::Parent),
        ("preceding", Self::Preceding),
        ("preceding-sibling", Self::PrecedingSibling),
        ("self", Self::Itself),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// `node()`
    Node,
    /// `*`: any node of the axis' principal type.
    Principal,
    /// A name, or a namespace with any name: an index into [`Compiled::names`].
    Name(usize),
    /// `text()`
    Text,
    /// `comment()`
    Comment,
    /// `processing-instruction()`, with or without a target.
    Instruction(Option<String>),
}

/// What is known of the type of an expression's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Nodes,
    Boolean,
    Number,
    String,
    Unknown,
}

impl Expression {
    pub(crate) fn value_type(&self) -> Type {
        match self {
            Self::Number(_) | Self::Negate(_) => Type::Number,
            Self::Literal(_) => Type::String,
            Self::Variable { .. } | Self::Custom { .. } => Type::Unknown,
            Self::Chain { rest, .. } => match rest.first().map(|(operator, _)| operator.precedence()) {
                Some(8) => Type::Nodes,
                Some(5 | 6) => Type::Number,
                _ => Type::Boolean,
            },
            Self::Call { function, .. } => function.result(),
            Self::Filter { .. } | Self::Path(_) => Type::Nodes,
        }
    }

    /// Where the expression stands, as far as it was kept.
    pub(crate) fn offset(&self) -> usize {
        match self {
            Self::Number(_) | Self::Literal(_) => 0,
            Self::Negate(inner) => inner.offset(),
            Self::Variable { offset, .. }
            | Self::Chain { offset, .. }
            | Self::Call { offset, .. }
            | Self::Custom { offset, .. }
            | Self::Filter { offset, .. } => *offset,
            Self::Path(path) => path.offset,
        }
    }
}
