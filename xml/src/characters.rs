//! Which characters XML 1.0 (fifth edition) and Namespaces in XML 1.0 allow, and where.
//!
//! Parser and editing functions share these, so that what can be built is exactly what can be read.

/// Whether XML allows `character` at all (production 2, `Char`).
pub fn is_char(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => false,
        _ => true,
    }
}

/// Whether `byte` is XML white space (production 3, `S`).
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether `text` consists of XML white space only; true for the empty text.
pub fn is_blank(text: &str) -> bool {
    text.bytes().all(is_space)
}

/// Whether `character` may begin a name; the colon is left out, namespaces reserve it.
pub fn is_name_start(character: char) -> bool {
    matches!(character,
        'A'..='Z' | 'a'..='z' | '_'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}'
        | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// Whether `character` may stand inside a name; the colon is left out, namespaces reserve it.
pub fn is_name_char(character: char) -> bool {
    is_name_start(character)
        || matches!(character,
            '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Whether `name` is an `NCName`: a name without a colon.
pub fn is_ncname(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(is_name_start) && characters.all(is_name_char)
}

/// The first character of `text` that XML cannot carry, if there is one.
pub fn first_illegal(text: &str) -> Option<char> {
    let suspicious = |&byte: &u8| byte < 0x20 || byte == 0xEF;
    if !text.as_bytes().iter().any(suspicious) {
        return None;
    }
    text.chars().find(|&character| !is_char(character))
}

/// The bytes at which scanning of ordinary ASCII name characters goes on.
pub(crate) static NAME_BYTES: [bool; 256] = name_bytes();

const fn name_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut index = 0;
    while index < 128 {
        let byte = index as u8;
        table[index] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        index += 1;
    }
    table
}

/// The bytes at which a run of element text needs a closer look.
pub(crate) static TEXT_STOPS: [bool; 256] = stops(b"<&]\r", b"\t\n");

/// The bytes at which a run of an attribute value needs a closer look.
pub(crate) static VALUE_STOPS: [bool; 256] = stops(b"<&\"'", b"");

/// `wanted`, every control character but `allowed`, and the lead byte of U+FFFE and U+FFFF.
const fn stops(wanted: &[u8], allowed: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut index = 0;
    while index < 0x20 {
        table[index] = true;
        index += 1;
    }
    table[0xEF] = true;
    index = 0;
    while index < allowed.len() {
        table[allowed[index] as usize] = false;
        index += 1;
    }
    index = 0;
    while index < wanted.len() {
        table[wanted[index] as usize] = true;
        index += 1;
    }
    table
}
