//! Keys of JSON objects as XML names and back.
//!
//! A character that cannot stand in a name is written `_xHHHH_` (`_xHHHHHH_` beyond U+FFFF), upper case, as
//! in ISO/IEC 9075-14 section 9.1; the empty key is `_x_`. An underscore is escaped itself only where it
//! would otherwise begin such an escape. So every key has a name of its own, and every name stands for
//! itself unless it holds an escape of a character that needs one, or `_x005F_`.

use std::borrow::Cow;

const UNDERSCORE: &str = "_x005F_";
const EMPTY: &str = "_x_";
const LITERAL_EMPTY: &str = "_x005F_x_";

/// The XML name (without a prefix) for a key or a part of one.
pub(super) fn encode(key: &str) -> Cow<'_, str> {
    match key {
        "" => return Cow::Borrowed(EMPTY),
        EMPTY => return Cow::Borrowed(LITERAL_EMPTY),
        _ if xml::is_ncname(key) && !key.contains("_x") => return Cow::Borrowed(key),
        _ => {}
    }
    let mut name = String::with_capacity(key.len() + 16);
    for (index, character) in key.char_indices() {
        let is_first = index == 0;
        let is_end = |next: char| next == '_' || !xml::is_name_char(next);
        if !is_allowed(character, is_first) {
            name.push_str(&escape(character));
        } else if character == '_' && means_something(&key[index..], is_first, is_end) {
            name.push_str(UNDERSCORE);
        } else {
            name.push(character);
        }
    }
    Cow::Owned(name)
}

/// The key that an XML name (without a prefix) stands for.
pub(super) fn decode(name: &str) -> Cow<'_, str> {
    match name {
        EMPTY => return Cow::Borrowed(""),
        LITERAL_EMPTY => return Cow::Borrowed(EMPTY),
        _ if !name.contains("_x") => return Cow::Borrowed(name),
        _ => {}
    }
    let mut key = String::with_capacity(name.len());
    let mut at = 0;
    while let Some(found) = name[at..].find("_x") {
        key.push_str(&name[at..at + found]);
        at += found;
        let (character, length) = decode_one(&name[at..], at == 0).unwrap_or(('_', 1));
        key.push(character);
        at += length;
    }
    key.push_str(&name[at..]);
    Cow::Owned(key)
}

/// The escape at the beginning of `text` and its length, where it is one that [`encode`] writes.
fn decode_one(text: &str, is_first: bool) -> Option<(char, usize)> {
    let (character, length) = escape_at(text, |next| next == '_')?;
    let is_written = match character {
        '_' => means_something(&text[length - 1..], is_first, |next| next == '_'),
        _ => !is_allowed(character, is_first),
    };
    is_written.then_some((character, length))
}

/// Whether the underscore at the beginning of `text` would be taken for an escape.
fn means_something(text: &str, is_first: bool, is_end: impl Fn(char) -> bool) -> bool {
    escape_at(text, is_end).is_some_and(|(character, _)| character == '_' || !is_allowed(character, is_first))
}

/// `_x`, four or six digits and an end: the character and the length.
fn escape_at(text: &str, is_end: impl Fn(char) -> bool) -> Option<(char, usize)> {
    let rest = text.strip_prefix("_x")?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    let length = rest.bytes().take(7).take_while(is_digit).count();
    let code = u32::from_str_radix(&rest[..length], 16).ok()?;
    let is_shortest = length == if code > 0xFFFF { 6 } else { 4 };
    let ends = rest[length..].chars().next().is_some_and(is_end);
    let character = char::from_u32(code).filter(|_| is_shortest && ends)?;
    Some((character, length + 3))
}

fn is_allowed(character: char, is_first: bool) -> bool {
    if is_first {
        xml::is_name_start(character)
    } else {
        xml::is_name_char(character)
    }
}

fn escape(character: char) -> String {
    match u32::from(character) {
        code @ 0..=0xFFFF => format!("_x{code:04X}_"),
        code => format!("_x{code:06X}_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_become_names_and_names_keys() {
        for (key, name) in [
            ("order", "order"),
            ("größe", "größe"),
            ("", "_x_"),
            ("_x_", "_x005F_x_"),
            ("a_x_", "a_x_"),
            ("my_xml", "my_xml"),
            ("first name", "first_x0020_name"),
            ("1st", "_x0031_st"),
            ("a1", "a1"),
            ("a:b", "a_x003A_b"),
            ("@id", "_x0040_id"),
            ("$ref", "_x0024_ref"),
            ("-", "_x002D_"),
            ("_x0041_", "_x0041_"),
            ("a_xBEEF_", "a_xBEEF_"),
            ("_x0020_", "_x005F_x0020_"),
            ("_x005F_x0020_", "_x005F_x005F_x005F_x0020_"),
            ("_x005f_x0020_", "_x005f_x005F_x0020_"),
            ("_x0020 ", "_x005F_x0020_x0020_"),
            ("\u{0}", "_x0000_"),
            ("\u{F0000}", "_x0F0000_"),
            ("a\u{FFFE}", "a_xFFFE_"),
            ("😀", "😀"),
        ] {
            assert_eq!(encode(key), name);
            assert_eq!(decode(name), key);
        }
    }

    proptest! {
        #[test]
        fn every_key_survives(key in any::<String>()) {
            let name = encode(&key);
            prop_assert!(xml::is_ncname(&name), "{}", name);
            prop_assert_eq!(decode(&name), key.as_str());
        }

        #[test]
        fn tricky_keys_survive(key in "(_|x|_x|0020|005F|_x0020_|_x005F|_x_|_x0031| |A|1|:){0,8}") {
            let name = encode(&key);
            prop_assert!(xml::is_ncname(&name), "{}", name);
            prop_assert_eq!(decode(&name), key.as_str());
        }

        #[test]
        fn names_without_escapes_survive(name in "(_|x|_x|41|0041|_x0041_|_xBEEF|_xE|a){1,8}") {
            prop_assume!(xml::is_ncname(&name) && name != "_x_");
            let key = decode(&name).into_owned();
            prop_assert_eq!(encode(&key), name.as_str());
        }
    }
}
