//! Facets (XML Schema 1.0 part 2 section 4.3) and the check of a value against a simple type.

use super::component::{Components, SimpleType, TypeId, Variety};
use super::value::{Primitive, Scope, Value};
use crate::characters::{is_name_char, is_name_start, is_ncname, is_space};
use regex::Regex;
use std::borrow::Cow;
use std::cmp::Ordering;

/// What to do about white space before anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WhiteSpace {
    #[default]
    Preserve,
    Replace,
    Collapse,
}

/// The forms that built-in types demand beyond those of their primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Integer,
    Language,
    NmToken,
    Name,
    NcName,
}

/// Whether values of a type identify elements or refer to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Id,
    Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    MinInclusive,
    MinExclusive,
    MaxInclusive,
    MaxExclusive,
}

/// The facets of a type and of all it derives from.
#[derive(Clone, Debug, Default)]
pub(super) struct Facets {
    pub(super) white_space: WhiteSpace,
    pub(super) form: Option<Form>,
    pub(super) identity: Option<Identity>,
    pub(super) lengths: Vec<(usize, usize)>,
    /// One of each set has to match.
    pub(super) patterns: Vec<Vec<Regex>>,
    pub(super) enumeration: Option<Vec<Value>>,
    pub(super) bounds: Vec<(Side, Value, String)>,
    pub(super) total_digits: Option<usize>,
    pub(super) fraction_digits: Option<usize>,
}

impl Components {
    /// Checks `text` against the simple type and yields the value.
    pub(super) fn check(&self, id: TypeId, text: &str, scope: Scope<'_>) -> Result<Value, String> {
        let Some(simple) = self.simple(id) else {
            return Err("not a simple type".to_owned());
        };
        let text = normalize(text, simple.facets.white_space);
        let value = self.parse(simple, &text, scope).map_err(|reason| match reason {
            Some(reason) => reason,
            None => format!("{:?} is not a value of {}", shorten(&text), self.describe(id)),
        })?;
        simple.facets.check(&text, &value)?;
        Ok(value)
    }

    /// The name of a type, or of the nearest named one that it derives from.
    pub(super) fn describe(&self, id: TypeId) -> String {
        let found = self.type_of(id);
        match (&found.name, found.base) {
            (Some(name), _) if name.namespace == super::XSD_NAMESPACE => format!("xs:{}", name.local),
            (Some(name), _) => name.to_string(),
            (None, Some(base)) if base != id => format!("a type derived from {}", self.describe(base)),
            _ => "its type".to_owned(),
        }
    }

    fn parse(&self, simple: &SimpleType, text: &str, scope: Scope<'_>) -> Result<Value, Option<String>> {
        match &simple.variety {
            Variety::Atomic(primitive) => {
                let fits = simple.facets.form.is_none_or(|form| form.fits(text));
                primitive.parse(text, scope).filter(|_| fits).ok_or(None)
            }
            Variety::List(item) => {
                let items = text
                    .split_ascii_whitespace()
                    .map(|item_text| self.check(*item, item_text, scope));
                items.collect::<Result<_, _>>().map(Value::List).map_err(Some)
            }
            Variety::Union(members) => members
                .iter()
                .find_map(|&member| self.check(member, text, scope).ok())
                .ok_or(None),
        }
    }

    /// The identifiers and references to them in a value that was found valid.
    pub(super) fn identities(&self, id: TypeId, text: &str, found: &mut dyn FnMut(Identity, &str)) {
        let Some(simple) = self.simple(id) else { return };
        match (&simple.variety, simple.facets.identity) {
            (Variety::List(item), _) => {
                text.split_ascii_whitespace()
                    .for_each(|word| self.identities(*item, word, found));
            }
            (Variety::Atomic(_), Some(identity)) => {
                found(identity, text.trim_matches([' ', '\t', '\n', '\r']));
            }
            _ => {}
        }
    }
}

/// The first characters of a value, for messages.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(80) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

pub(super) fn normalize(text: &str, white_space: WhiteSpace) -> Cow<'_, str> {
    if white_space == WhiteSpace::Preserve || !text.bytes().any(is_space) {
        return Cow::Borrowed(text);
    }
    match white_space {
        WhiteSpace::Collapse => {
            let words = text
                .split([' ', '\t', '\n', '\r'])
                .filter(|word| !word.is_empty());
            Cow::Owned(words.collect::<Vec<_>>().join(" "))
        }
        _ => Cow::Owned(text.replace(['\t', '\n', '\r'], " ")),
    }
}

impl Form {
    fn fits(self, text: &str) -> bool {
        match self {
            Self::Integer => !text.contains('.'),
            Self::NcName => is_ncname(text),
            Self::Name => {
                let mut characters = text.chars();
                characters
                    .next()
                    .is_some_and(|first| first == ':' || is_name_start(first))
                    && characters.all(|each| each == ':' || is_name_char(each))
            }
            Self::NmToken => !text.is_empty() && text.chars().all(|each| each == ':' || is_name_char(each)),
            Self::Language => text.split('-').enumerate().all(|(index, part)| {
                let is_allowed = |b: u8| b.is_ascii_alphabetic() || index > 0 && b.is_ascii_digit();
                (1..=8).contains(&part.len()) && part.bytes().all(is_allowed)
            }),
        }
    }
}

impl Facets {
    fn check(&self, text: &str, value: &Value) -> Result<(), String> {
        self.check_length(value)?;
        for set in &self.patterns {
            if !set.iter().any(|pattern| pattern.is_match(text)) {
                return Err(format!("{:?} does not match the pattern", shorten(text)));
            }
        }
        if let Some(allowed) = &self.enumeration
            && !allowed.iter().any(|allowed| allowed.equals(value))
        {
            return Err(format!("{:?} is not one of the enumerated values", shorten(text)));
        }
        for (side, bound, bound_text) in &self.bounds {
            if !side.holds(value.compare(bound)) {
                return Err(format!("{:?} is outside the bound {bound_text:?}", shorten(text)));
            }
        }
        self.check_digits(text, value)
    }

    fn check_length(&self, value: &Value) -> Result<(), String> {
        let Some(length) = value.length() else {
            return Ok(());
        };
        for &(least, most) in &self.lengths {
            if length < least {
                return Err(format!("the length {length} is less than {least}"));
            }
            if length > most {
                return Err(format!("the length {length} is more than {most}"));
            }
        }
        Ok(())
    }

    fn check_digits(&self, text: &str, value: &Value) -> Result<(), String> {
        let Value::Decimal(decimal) = value else {
            return Ok(());
        };
        if self
            .total_digits
            .is_some_and(|most| decimal.total_digits() > most)
        {
            return Err(format!("{:?} has too many digits", shorten(text)));
        }
        if self
            .fraction_digits
            .is_some_and(|most| decimal.fraction_digits() > most)
        {
            return Err(format!("{:?} has too many digits after the point", shorten(text)));
        }
        Ok(())
    }
}

impl Side {
    fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::MinInclusive => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::MinExclusive => order == Some(Ordering::Greater),
            Self::MaxInclusive => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::MaxExclusive => order == Some(Ordering::Less),
        }
    }
}

/// Name, base, primitive or list, white space, form, identity and bounds of a built-in type.
pub(super) struct BuiltIn {
    pub(super) name: &'static str,
    pub(super) base: &'static str,
    pub(super) primitive: Primitive,
    pub(super) white_space: WhiteSpace,
    pub(super) form: Option<Form>,
    pub(super) identity: Option<Identity>,
    pub(super) bounds: (Option<&'static str>, Option<&'static str>),
}

const fn built_in(name: &'static str, base: &'static str, primitive: Primitive) -> BuiltIn {
    let white_space = WhiteSpace::Collapse;
    BuiltIn {
        name,
        base,
        primitive,
        white_space,
        form: None,
        identity: None,
        bounds: (None, None),
    }
}

const fn text(
    name: &'static str,
    base: &'static str,
    white_space: WhiteSpace,
    form: Option<Form>,
) -> BuiltIn {
    BuiltIn {
        white_space,
        form,
        ..built_in(name, base, Primitive::String)
    }
}

const fn identity(name: &'static str, identity: Identity) -> BuiltIn {
    BuiltIn {
        identity: Some(identity),
        ..text(name, "NCName", WhiteSpace::Collapse, Some(Form::NcName))
    }
}

const fn integer(
    name: &'static str,
    base: &'static str,
    least: Option<&'static str>,
    most: Option<&'static str>,
) -> BuiltIn {
    BuiltIn {
        form: Some(Form::Integer),
        bounds: (least, most),
        ..built_in(name, base, Primitive::Decimal)
    }
}

/// All built-in atomic types, each after its base.
pub(super) const BUILT_INS: [BuiltIn; 41] = [
    text("string", "anySimpleType", WhiteSpace::Preserve, None),
    built_in("boolean", "anySimpleType", Primitive::Boolean),
    built_in("decimal", "anySimpleType", Primitive::Decimal),
    built_in("float", "anySimpleType", Primitive::Float),
    built_in("double", "anySimpleType", Primitive::Double),
    built_in("duration", "anySimpleType", Primitive::Duration),
    built_in("dateTime", "anySimpleType", Primitive::DateTime),
    built_in("time", "anySimpleType", Primitive::Time),
    built_in("date", "anySimpleType", Primitive::Date),
    built_in("gYearMonth", "anySimpleType", Primitive::GYearMonth),
    built_in("gYear", "anySimpleType", Primitive::GYear),
    built_in("gMonthDay", "anySimpleType", Primitive::GMonthDay),
    built_in("gDay", "anySimpleType", Primitive::GDay),
    built_in("gMonth", "anySimpleType", Primitive::GMonth),
    built_in("hexBinary", "anySimpleType", Primitive::HexBinary),
    built_in("base64Binary", "anySimpleType", Primitive::Base64Binary),
    built_in("anyURI", "anySimpleType", Primitive::AnyUri),
    built_in("QName", "anySimpleType", Primitive::QName),
    built_in("NOTATION", "anySimpleType", Primitive::Notation),
    text("normalizedString", "string", WhiteSpace::Replace, None),
    text("token", "normalizedString", WhiteSpace::Collapse, None),
    text("language", "token", WhiteSpace::Collapse, Some(Form::Language)),
    text("NMTOKEN", "token", WhiteSpace::Collapse, Some(Form::NmToken)),
    text("Name", "token", WhiteSpace::Collapse, Some(Form::Name)),
    text("NCName", "Name", WhiteSpace::Collapse, Some(Form::NcName)),
    identity("ID", Identity::Id),
    identity("IDREF", Identity::Reference),
    text("ENTITY", "NCName", WhiteSpace::Collapse, Some(Form::NcName)),
    integer("integer", "decimal", None, None),
    integer("nonPositiveInteger", "integer", None, Some("0")),
    integer("negativeInteger", "nonPositiveInteger", None, Some("-1")),
    integer(
        "long",
        "integer",
        Some("-9223372036854775808"),
        Some("9223372036854775807"),
    ),
    integer("int", "long", Some("-2147483648"), Some("2147483647")),
    integer("short", "int", Some("-32768"), Some("32767")),
    integer("byte", "short", Some("-128"), Some("127")),
    integer("nonNegativeInteger", "integer", Some("0"), None),
    integer(
        "unsignedLong",
        "nonNegativeInteger",
        Some("0"),
        Some("18446744073709551615"),
    ),
    integer("unsignedInt", "unsignedLong", Some("0"), Some("4294967295")),
    integer("unsignedShort", "unsignedInt", Some("0"), Some("65535")),
    integer("unsignedByte", "unsignedShort", Some("0"), Some("255")),
    integer("positiveInteger", "nonNegativeInteger", Some("1"), None),
];
