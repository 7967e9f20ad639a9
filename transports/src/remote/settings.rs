//! Settings that every connection has.

use engine::build::Build;
use engine::config::Spanned;

/// Whether a host or a user can be said to a server; reported where not.
pub(crate) fn usable(text: &Spanned<String>, cx: &mut Build<'_>) -> bool {
    let usable = !text.value.is_empty() && !text.value.chars().any(char::is_control);
    if !usable {
        let problem = "this is empty or has a control character";
        cx.error("config.bad_value", text.span, problem, None);
    }
    usable
}
