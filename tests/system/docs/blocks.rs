//! The YAML blocks of the pages, checked by the binary itself.

use super::{pages, shown};
use mediary_tests::{Finished, Project, certificates, mediary};
use std::path::Path;

/// The keys that a project file can begin with.
const TOP_LEVEL: [&str; 10] = [
    "settings",
    "endpoints",
    "sequences",
    "proxies",
    "apis",
    "tasks",
    "stores",
    "processors",
    "resources",
    "connections",
];

/// The sequences that steps may call without showing them: the example of the step `sequence` does.
const SEQUENCES: &str = "  audit: [ log ]\n  notify: { params: { who: null }, steps: [ log ] }\n";

/// The stores that steps may name without showing them.
const STORES: &str = "stores:\n  orders: { memory: {} }\n  seen: { memory: {} }\n  blobs: { memory: {} }\n  parts: { memory: {} }\n";

/// A fenced block of a page.
struct Block {
    /// The line of its fence, from 1.
    line: usize,
    language: String,
    /// What the HTML comment on the line before says.
    mark: Option<String>,
    text: String,
}

/// What a YAML block is.
enum Kind {
    Project,
    Steps,
    Tests,
    Other,
}

impl Block {
    fn kind(&self) -> Kind {
        let first = self
            .text
            .lines()
            .find(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let first = first.unwrap_or_default();
        let key = first.split(':').next().unwrap_or_default();
        match first {
            _ if TOP_LEVEL.contains(&key) => Kind::Project,
            _ if first.starts_with("- name:") => Kind::Tests,
            _ if first.starts_with("- ") => Kind::Steps,
            _ => Kind::Other,
        }
    }

    fn file_name(&self) -> Option<&str> {
        self.mark.as_deref()?.strip_prefix("file: ")
    }

    fn is_wrong(&self) -> bool {
        self.mark.as_deref() == Some("wrong")
    }

    /// Its text as a project: steps become those of the sequence `main`.
    fn project(&self) -> String {
        let Kind::Steps = self.kind() else {
            return self.text.clone();
        };
        let steps: String = self.text.lines().map(|line| format!("    {line}\n")).collect();
        format!("{STORES}sequences:\n{SEQUENCES}  main:\n{steps}")
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    let mut before = "";
    while let Some((index, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = line;
            continue;
        };
        let inside = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```");
        let text: String = inside.map(|line| format!("{line}\n")).collect();
        let mark = before
            .strip_prefix("<!-- ")
            .and_then(|it| it.strip_suffix(" -->"));
        blocks.push(Block {
            line: index + 1,
            language: language.to_owned(),
            mark: mark.map(str::to_owned),
            text,
        });
        before = "";
    }
    blocks
}

/// The folder in which the blocks of one page are tried.
struct Bench {
    project: Project,
}

impl Bench {
    fn new(blocks: &[Block]) -> Self {
        let project = Project::files(&[("mediary.yaml", "")]);
        for block in blocks {
            if let Some(name) = block.file_name() {
                project.write(name, &block.text);
            }
        }
        certificates().write_to(project.folder());
        Self { project }
    }

    fn command(&self, command: &str) -> Finished {
        let folder = self.project.folder().to_str().unwrap();
        mediary(&[command, folder])
    }

    /// Checks a block. Tests further down belong to the last project that is not meant to fail.
    fn checked(&self, block: &Block) -> Finished {
        let main = self.project.folder().join("mediary.yaml");
        let before = std::fs::read(main).unwrap();
        self.project.write("mediary.yaml", block.project());
        let end = self.command("check");
        if block.is_wrong() || matches!(block.kind(), Kind::Steps) {
            self.project.write("mediary.yaml", before);
        }
        end
    }

    /// Tries a block; the answer is why it is not what the page says.
    fn problem(&self, block: &Block) -> Option<String> {
        let end = match block.kind() {
            Kind::Other => return None,
            Kind::Tests => {
                self.project.write("page.test.yaml", &block.text);
                let end = self.command("test");
                self.project.write("page.test.yaml", "");
                end
            }
            Kind::Project | Kind::Steps => self.checked(block),
        };
        let expected = Some(i32::from(block.is_wrong()));
        (end.code != expected).then(|| format!("exit code {:?}\n{}", end.code, end.output()))
    }
}

fn check(path: &Path) -> (usize, Vec<String>) {
    let blocks = blocks(&std::fs::read_to_string(path).unwrap());
    let yaml: Vec<&Block> = blocks
        .iter()
        .filter(|block| block.language == "yaml" && block.file_name().is_none())
        .collect();
    if yaml.is_empty() {
        return (0, Vec::new());
    }
    let bench = Bench::new(&blocks);
    let problems = yaml.iter().filter_map(|block| {
        let problem = bench.problem(block)?;
        Some(format!("{}:{}: {problem}", shown(path), block.line))
    });
    (yaml.len(), problems.collect())
}

#[test]
fn every_yaml_block_is_what_the_page_says() {
    let (mut count, mut problems) = (0, Vec::new());
    for page in pages() {
        let (blocks, found) = check(&page);
        count += blocks;
        problems.extend(found);
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    assert!(count > 30, "only {count} blocks were found");
}

#[test]
fn a_block_that_is_not_what_the_page_says_is_found() {
    let page = "```yaml\nsequences: { main: [ respnd ] }\n```\n<!-- wrong -->\n```yaml\n- respond\n```\n\
                ```yaml\napis: { a: { context: /a, routes: { GET /: [ respond ] } } }\n```\n\
                ```yaml\n- name: a\n  send: { GET: /a }\n  expect: { status: 404 }\n```\n```yaml\n- respond\n```\n";
    let project = Project::files(&[("page.md", page)]);
    let (count, problems) = check(&project.folder().join("page.md"));
    let parts = ["page.md:1: ", "page.md:5: ", "page.md:11: "];
    assert_eq!((count, problems.len()), (5, parts.len()), "{problems:#?}");
    for (problem, part) in problems.iter().zip(parts) {
        assert!(problem.contains(part), "{problem}");
    }
}
