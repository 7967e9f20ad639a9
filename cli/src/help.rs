//! `mediary help`: the reference in a terminal. Without a name it lists what there is.

use crate::arguments::{Arguments, HelpOptions};
use crate::console::{CODE, Console, End, FAINT, STRONG, WARN, paint};
use crate::reference::{self, Kind, Page, Settings};
use clap::CommandFactory;

/// Runs the command.
pub fn run(options: &HelpOptions, console: &mut Console) -> End {
    let pages = reference::pages(crate::registry());
    let Some(name) = &options.component else {
        console.say(overview(&pages));
        return End::Fine;
    };
    let found: Vec<String> = pages
        .iter()
        .filter(|page| page.name == *name)
        .map(page_text)
        .collect();
    if !found.is_empty() {
        console.say(found.join("\n\n"));
        return End::Fine;
    }
    if let Some(command) = Arguments::command().find_subcommand_mut(name) {
        let name = format!("mediary {}", command.get_name());
        console.say(command.clone().bin_name(name).render_long_help().ansi());
        return End::Fine;
    }
    unknown(name, &pages, console)
}

fn unknown(name: &str, pages: &[Page], console: &mut Console) -> End {
    console.error(format_args!("there is no component `{name}`"));
    let near = engine::config::suggestion(name, pages.iter().map(|page| page.name.as_str()));
    if let Some(near) = near {
        console.complain(near);
    }
    console.complain("`mediary help` lists them all");
    End::Usage
}

fn overview(pages: &[Page]) -> String {
    let width = pages.iter().map(|page| page.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for kind in Kind::ALL {
        text.push_str(&format!("{}\n", paint(WARN, kind.title())));
        for page in pages.iter().filter(|page| page.kind == kind) {
            let name = format!("{:width$}", page.name);
            text.push_str(&format!("  {}  {}\n", paint(CODE, name), plain(&page.summary)));
        }
        text.push('\n');
    }
    text + "`mediary help NAME` explains one of them, `mediary --help` the commands."
}

fn page_text(page: &Page) -> String {
    let mut text = format!("{}\n{}", paint(STRONG, &page.name), wrapped(&page.summary, ""));
    for paragraph in [&page.text]
        .into_iter()
        .chain(&page.notes)
        .filter(|text| !text.is_empty())
    {
        text.push_str(&format!("\n{}", wrapped(paragraph, "")));
    }
    for table in &page.settings {
        text.push_str(&format!("\n{}\n", settings_text(table)));
    }
    if let Some(example) = &page.example {
        let indented = example.lines().map(|line| format!("  {line}\n"));
        text.push_str(&format!(
            "\n{}\n{}",
            paint(WARN, "Example"),
            indented.collect::<String>()
        ));
    }
    text.trim_end().to_owned()
}

fn settings_text(table: &Settings) -> String {
    let mut text = paint(WARN, plain(&table.title)) + "\n";
    if !table.text.is_empty() {
        text.push_str(&wrapped(&table.text, "  "));
    }
    for row in &table.rows {
        let mut facts = plain(&row.kind);
        if row.required {
            facts.push_str(", required");
        }
        if let Some(default) = &row.default {
            facts.push_str(&format!(", default {default}"));
        }
        text.push_str(&format!(
            "  {}  {}\n",
            paint(CODE, &row.name),
            paint(FAINT, facts)
        ));
        text.push_str(&wrapped(&row.text, "      "));
    }
    text.trim_end().to_owned()
}

/// Markdown's code marks say nothing on a terminal.
fn plain(markdown: &str) -> String {
    markdown.replace('`', "").replace("\\|", "|")
}

/// Characters of a line.
const WIDTH: usize = 100;

/// Paragraphs as lines of at most [`WIDTH`] characters, each behind `indent`. Tables and lists stay as they are.
fn wrapped(markdown: &str, indent: &str) -> String {
    let mut text = String::new();
    for paragraph in plain(markdown)
        .split("\n\n")
        .filter(|paragraph| !paragraph.is_empty())
    {
        if !text.is_empty() {
            text.push('\n');
        }
        if paragraph.starts_with(['|', '-', '#', ' ']) {
            paragraph
                .lines()
                .for_each(|line| text.push_str(&format!("{indent}{line}\n")));
            continue;
        }
        let mut line = indent.to_owned();
        for word in paragraph.split_whitespace() {
            let is_first = line.len() == indent.len();
            if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
                text.push_str(&format!("{line}\n"));
                indent.clone_into(&mut line);
            } else if !is_first {
                line.push(' ');
            }
            line.push_str(word);
        }
        text.push_str(&format!("{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::page_text;
    use crate::console::End;
    use crate::reference::{Kind, Page, Setting, Settings};
    use crate::testing::mediary;

    #[test]
    fn everything_that_is_registered_has_help() {
        for page in crate::reference::pages(crate::registry()) {
            let ran = mediary(&["help", &page.name]);
            assert_eq!(ran.end, End::Fine, "{}", page.name);
            assert!(
                ran.out.contains(&page.name) && !page.summary.is_empty(),
                "{}",
                page.name
            );
        }
    }

    #[test]
    fn a_page_as_people_read_it() {
        let setting = |name: &str, required, default: Option<&str>, text: &str| Setting {
            name: name.to_owned(),
            kind: "`a`, `b`".to_owned(),
            required,
            default: default.map(str::to_owned),
            text: text.to_owned(),
        };
        let page = Page {
            kind: Kind::Step,
            name: "greet".to_owned(),
            summary: "Says `hello`.".to_owned(),
            text: "word ".repeat(30),
            notes: vec!["A note.".to_owned()],
            settings: vec![Settings {
                title: "Settings".to_owned(),
                text: String::new(),
                rows: vec![
                    setting("who", true, None, "Who is greeted."),
                    setting("how", false, Some("a"), "How."),
                ],
            }],
            example: Some("- greet: { who: you }".to_owned()),
        };
        let text = anstream::adapter::strip_str(&page_text(&page)).to_string();
        insta::assert_snapshot!(text, @r##"
        greet
        Says hello.

        word word word word word word word word word word word word word word word word word word word word
        word word word word word word word word word word

        A note.

        Settings
          who  a, b, required
              Who is greeted.
          how  a, b, default a
              How.

        Example
          - greet: { who: you }
        "##);
    }

    #[test]
    fn an_unknown_name_is_a_usage_error_with_what_was_meant() {
        let ran = mediary(&["help", "fliter"]);
        assert_eq!(ran.end, End::Usage);
        assert!(ran.err.contains("did you mean `filter`?"), "{}", ran.err);
    }

    #[test]
    fn commands_are_explained_too() {
        assert!(mediary(&["help", "check"]).out.contains("Usage: mediary check"));
    }
}
