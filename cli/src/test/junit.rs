//! Results as JUnit XML, as build servers read them.

use super::runner::Outcome;
use std::path::Path;

/// Writes the results.
///
/// # Errors
/// Why the file cannot be written, as a sentence.
pub(super) fn write(path: &Path, outcomes: &[Outcome]) -> Result<(), String> {
    std::fs::write(path, document(outcomes)).map_err(|error| format!("{}: {error}", path.display()))
}

fn document(outcomes: &[Outcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    let total: f64 = outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"mediary\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{total:.3}\">\n",
        outcomes.len()
    );
    for outcome in outcomes {
        text.push_str(&case(outcome));
    }
    text + "  </testsuite>\n</testsuites>\n"
}

fn case(outcome: &Outcome) -> String {
    let (name, file) = (escape(&outcome.name), escape(&outcome.place));
    let start = format!(
        "    <testcase name=\"{name}\" classname=\"{file}\" time=\"{:.3}\"",
        outcome.took.as_secs_f64()
    );
    if outcome.passed() {
        return start + "/>\n";
    }
    let message = escape(&outcome.headline());
    let text = escape(&anstream::adapter::strip_str(&outcome.text).to_string());
    format!("{start}>\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>\n")
}

/// For attributes and text; characters that XML cannot carry become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other if xml::is_char(other) => out.push(other),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_document_is_xml_whatever_the_texts_hold() {
        let outcome = |name: &str, messages: &[&str]| Outcome {
            name: name.to_owned(),
            place: "a.test.yaml:3".to_owned(),
            messages: messages.iter().map(|it| (*it).to_owned()).collect(),
            text: messages.join("\n"),
            took: Duration::from_millis(12),
        };
        let text = document(&[
            outcome("fine", &[]),
            outcome("<bad> & \u{1}", &["it is \"x\"", "more"]),
        ]);
        let parsed = xml::Document::parse_str(&text).unwrap();
        assert!(parsed.root_element().is_some());
        insta::assert_snapshot!(text, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
          <testsuite name="mediary" tests="2" failures="1" errors="0" time="0.024">
            <testcase name="fine" classname="a.test.yaml:3" time="0.012"/>
            <testcase name="&lt;bad&gt; &amp; �" classname="a.test.yaml:3" time="0.012">
              <failure message="it is &quot;x&quot; (and 1 more)">it is &quot;x&quot;
        more</failure>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
