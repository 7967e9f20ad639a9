//! Pages that are tables of the engine: faults and expressions.

use super::{Kind, Page};
use engine::expression::{FILTERS, FUNCTIONS, ROOTS, TESTS};
use engine::fault::{FaultCode, Origin};

/// The pages.
pub(super) fn pages() -> Vec<Page> {
    vec![faults(), expressions()]
}

fn general(name: &str, summary: &str, text: String) -> Page {
    Page {
        kind: Kind::General,
        name: name.to_owned(),
        summary: summary.to_owned(),
        text,
        notes: Vec::new(),
        settings: Vec::new(),
        example: None,
    }
}

fn faults() -> Page {
    let mut text = "\
A fault that no `try` and no `on_fault` handles is answered with its status. `catch: { on: [CODE] }` names the code.
WSO2's number is the nearest one that its users know; `-` where there is none.

| code | status | origin | retryable | WSO2 | title |
| --- | --- | --- | --- | --- | --- |
"
    .to_owned();
    for row in FaultCode::ALL {
        let origin = match row.origin {
            Origin::Client => "client",
            Origin::Backend => "backend",
            Origin::Gateway => "gateway",
        };
        let retryable = if row.retryable { "yes" } else { "no" };
        let wso2 = if row.wso2 == 0 {
            "-".to_owned()
        } else {
            row.wso2.to_string()
        };
        text.push_str(&format!(
            "| `{}` | {} | {origin} | {retryable} | {wso2} | {} |\n",
            row.name, row.status, row.title
        ));
    }
    general(
        "faults",
        "What can go wrong with a message, by code.",
        text.trim_end().to_owned(),
    )
}

fn expressions() -> Page {
    let roots: Vec<String> = ROOTS.iter().map(|(name, _)| format!("`{name}`")).collect();
    let mut text = format!(
        "\
Keys such as `when:` hold a bare expression; in any other string `${{ ... }}` is evaluated per message. A string that
is exactly one `${{ ... }}` keeps the value's type. `$${{` is a literal `${{`. An undefined value is a fault that names the
expression and its place; `default()` and `is defined` handle what may be absent.

Expressions start from {}. `env.NAME` and `secret.NAME` are read once, at load.\n",
        roots.join(", ")
    );
    for (title, docs) in [
        ("Filters: `value | NAME`", FILTERS),
        ("Tests: `value is NAME`", TESTS),
        ("Functions", FUNCTIONS),
    ] {
        text.push_str(&format!("\n## {title}\n\n| name | what it is |\n| --- | --- |\n"));
        for (name, what) in docs {
            text.push_str(&format!("| `{name}` | {} |\n", what.replace('|', "\\|")));
        }
    }
    general(
        "expressions",
        "The expression language: roots, filters, tests, functions.",
        text.trim_end().to_owned(),
    )
}
