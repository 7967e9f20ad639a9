//! `mediary docs`: writes the reference pages. The output depends on the program alone, so that a test can tell
//! whether the committed pages are fresh.

use crate::arguments::DocsOptions;
use crate::console::{Console, End, count};
use crate::reference::{self, Kind, Page, Settings};
use std::collections::BTreeMap;
use std::path::Path;

/// Runs the command.
pub fn run(options: &DocsOptions, console: &mut Console) -> End {
    let files = files();
    for (name, text) in &files {
        if let Err(error) = write(&options.folder.join(name), text) {
            console.error(format_args!("{}: {error}", options.folder.join(name).display()));
            return End::Problems;
        }
    }
    console.say(format_args!("wrote {}", count(files.len(), "page", "pages")));
    End::Fine
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, text)
}

/// The pages by relative path, with their texts.
#[must_use]
pub fn files() -> BTreeMap<String, String> {
    let pages = reference::pages(crate::registry());
    let mut files: BTreeMap<String, String> =
        pages.iter().map(|page| (path(page), page_text(page))).collect();
    files.insert("index.md".to_owned(), index(&pages));
    files
}

fn path(page: &Page) -> String {
    format!("{}{}.md", page.kind.folder(), page.name)
}

const GENERATED: &str =
    "<!-- Made by `mediary docs docs/reference` from the configuration types; edit those. -->\n";

fn index(pages: &[Page]) -> String {
    let mut text = format!("{GENERATED}\n# Reference\n");
    for kind in Kind::ALL {
        text.push_str(&format!("\n## {}\n\n", kind.title()));
        for page in pages.iter().filter(|page| page.kind == kind) {
            text.push_str(&format!(
                "- [`{}`]({}): {}\n",
                page.name,
                path(page),
                page.summary
            ));
        }
    }
    text
}

fn page_text(page: &Page) -> String {
    let mut text = format!("{GENERATED}\n# {}\n\n{}\n", page.name, page.summary);
    for paragraph in [&page.text]
        .into_iter()
        .chain(&page.notes)
        .filter(|text| !text.is_empty())
    {
        text.push_str(&format!("\n{paragraph}\n"));
    }
    for table in &page.settings {
        text.push_str(&table_text(table));
    }
    if let Some(example) = &page.example {
        text.push_str(&format!("\n## Example\n\n```yaml\n{example}\n```\n"));
    }
    text
}

fn table_text(table: &Settings) -> String {
    let mut text = format!("\n## {}\n\n", table.title);
    if !table.text.is_empty() {
        text.push_str(&format!("{}\n\n", table.text));
    }
    text.push_str("| key | value | default | |\n| --- | --- | --- | --- |\n");
    for row in &table.rows {
        let default = match &row.default {
            _ if row.required => "required".to_owned(),
            Some(default) => format!("`{}`", cell(default)),
            None => String::new(),
        };
        text.push_str(&format!(
            "| `{}` | {} | {default} | {} |\n",
            row.name,
            cell(&row.kind),
            cell(&row.text)
        ));
    }
    text
}

/// A cell is one line, and a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace("\n\n", "<br>")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pages_are_fresh() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
        for (name, text) in files() {
            let committed = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
            assert!(
                committed == text,
                "{name} is stale: run `mediary docs docs/reference`"
            );
        }
    }
}
