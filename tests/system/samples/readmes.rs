//! What the samples' READMEs show is what happens: their commands are run, and their output is compared.

use super::servers::Servers;
use super::{ALL, FREE_PORTS, folder};
use mediary_tests::{Running, free_port, mediary, mediary_command};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// From the start until the sample has sent its requests and serves.
const START_LIMIT: Duration = Duration::from_secs(60);
/// For one command of a README.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at what takes a moment to come.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The addresses that READMEs name: of the sample, its backend, and its management port.
const ADDRESS: &str = "localhost:8290";
const BACKEND: &str = "localhost:9000";
const MANAGEMENT: &str = "localhost:9164";

#[test]
fn the_commands_of_the_readmes_show_what_is_written_there() {
    for name in ALL {
        let readme = std::fs::read_to_string(folder(name).join("README.md")).unwrap();
        let commands = commands(&readme);
        assert!(commands.len() >= 2, "{name} shows how to use it");
        let sample = if readme.contains("mediary samples copy") {
            Sample::copied(name)
        } else {
            Sample::run(name)
        };
        let mut ids = Ids::default();
        for (command, documented) in commands {
            let deadline = Instant::now() + COMMAND_LIMIT;
            loop {
                let output = sample.shell(&ids.actual(&command));
                ids.learn(&documented, &output);
                if is_as_documented(&ids.documented(&output), &documented) {
                    break;
                }
                assert!(
                    only_looks(&command) && Instant::now() < deadline,
                    "{name}: {command}\nshows\n{output}\nand not\n{documented}"
                );
                std::thread::sleep(LOOK_INTERVAL);
            }
        }
    }
}

/// Whether the output has everything that is documented, in this order; `...` stands for anything.
fn is_as_documented(output: &str, documented: &str) -> bool {
    let (shown, documented) = (plain(output), plain(documented));
    let mut rest = shown.as_str();
    documented.split("...").all(|part| {
        let found = rest.find(part);
        rest = found.map_or("", |at| &rest[at + part.len()..]);
        found.is_some()
    })
}

/// Whether a command changes nothing. It is repeated, as a reader would, until what it looks at is there.
fn only_looks(command: &str) -> bool {
    command.starts_with("cat ") || command.starts_with("ls ")
}

/// Settings as arguments.
fn with_sets<'a>(sets: &[&'a str]) -> Vec<&'a str> {
    sets.iter().flat_map(|set| ["--set", set]).collect()
}

/// A sample at work as its README starts it.
struct Sample {
    _process: Running,
    _servers: Servers,
    /// Where the commands are typed.
    folder: TempDir,
    /// Addresses as the README has them, and as they are here.
    addresses: [(&'static str, String); 3],
}

impl Sample {
    fn run(name: &str) -> Self {
        let mut command = mediary_command();
        command.args(["samples", "run", name]);
        command.args(with_sets(&FREE_PORTS));
        Self::start(command, Servers::start(name), "It goes on serving")
    }

    fn copied(name: &str) -> Self {
        let copies = tempfile::tempdir().unwrap();
        let copy = copies.path().join("copy");
        mediary(&["samples", "copy", name, copy.to_str().unwrap()]).expect_success();
        // The backend gets another port, and the endpoints that name it follow.
        let port = free_port().to_string();
        for file in ["mediary.yaml", "backend.yaml"].map(|file| copy.join(file)) {
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(file, text.replace("9000", &port)).unwrap();
        }
        let mut command = mediary_command();
        let backend = format!("settings.listeners.backend.port={port}");
        command.args(["run", "."]).current_dir(&copy);
        command.args(with_sets(&[FREE_PORTS[0], &backend, FREE_PORTS[2]]));
        let mut sample = Self::start(command, Servers::start_in(name, &copy), "ready");
        sample.folder = copies;
        sample
    }

    fn start(mut command: Command, servers: Servers, ready: &str) -> Self {
        let sets: Vec<&str> = servers.sets.iter().map(String::as_str).collect();
        command.args(with_sets(&sets));
        let mut process = Running::start(command);
        let address = |stdout: &str, listener: &str| {
            let line = format!("listening {listener} http://");
            let mut lines = stdout.lines();
            lines.find_map(|it| it.strip_prefix(&line).map(str::to_owned))
        };
        let found = process.wait_for_stdout(START_LIMIT, |stdout| {
            stdout.find(ready)?;
            let backend = address(stdout, "backend").unwrap_or_default();
            Some((address(stdout, "http")?, backend, address(stdout, "management")?))
        });
        let (http, backend, management) =
            found.unwrap_or_else(|| panic!("it does not serve\n{}{}", process.stdout(), process.stderr()));
        Self {
            _process: process,
            _servers: servers,
            folder: tempfile::tempdir().unwrap(),
            addresses: [(ADDRESS, http), (BACKEND, backend), (MANAGEMENT, management)],
        }
    }

    /// What a command shows, with the addresses of the README.
    fn shell(&self, command: &str) -> String {
        let mut command = command.to_owned();
        for (documented, actual) in &self.addresses {
            command = command.replace(documented, actual);
        }
        let copy = self.folder.path().join("copy");
        let (_, management) = &self.addresses[2];
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &format!("{MEDIARY}\n{command}")])
            .env("MEDIARY", mediary_command().get_program())
            .env("MANAGEMENT", format!("http://{management}"))
            .current_dir(if copy.is_dir() { &copy } else { self.folder.path() });
        let end = Running::start(shell).wait(COMMAND_LIMIT);
        // What a command looks at may not be there yet.
        let end = if only_looks(&command) {
            end
        } else {
            end.expect_success()
        };
        let mut output = end.stdout;
        for (documented, actual) in &self.addresses {
            if !actual.is_empty() {
                output = output.replace(actual, documented);
            }
        }
        output
    }
}

/// The command as a README types it: this build, and the gateway of this test where it asks one.
const MEDIARY: &str = r#"mediary() {
    case "$1" in
        store) "$MEDIARY" "$@" --url "$MANAGEMENT" ;;
        *) "$MEDIARY" "$@" ;;
    esac
}"#;

/// Ids are others each time: which ones of this run stand for those of the README.
#[derive(Default)]
struct Ids(Vec<(String, String)>);

impl Ids {
    /// Takes the ids of an output for those at the same places in the README.
    fn learn(&mut self, documented: &str, shown: &str) {
        for (documented, shown) in uuids(documented).into_iter().zip(uuids(shown)) {
            if self.0.iter().all(|(known, _)| *known != documented) {
                self.0.push((documented, shown));
            }
        }
    }

    fn actual(&self, text: &str) -> String {
        let replace =
            |text: String, (documented, actual): &(String, String)| text.replace(documented, actual);
        self.0.iter().fold(text.to_owned(), replace)
    }

    fn documented(&self, text: &str) -> String {
        let replace =
            |text: String, (documented, actual): &(String, String)| text.replace(actual, documented);
        self.0.iter().fold(text.to_owned(), replace)
    }
}

/// The UUIDs in a text, in order.
fn uuids(text: &str) -> Vec<String> {
    let inside = |character: char| character.is_ascii_hexdigit() || character == '-';
    let words = text.split(|character| !inside(character));
    let is_uuid = |word: &&str| {
        let lengths = word.split('-').map(str::len);
        lengths.eq([8, 4, 4, 4, 12])
    };
    words.filter(is_uuid).map(str::to_owned).collect()
}

/// The commands of the `console` blocks, each with the output below it up to an empty line.
fn commands(readme: &str) -> Vec<(String, String)> {
    let blocks = readme
        .split("```console\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let examples = blocks
        .flat_map(|block| block.split("\n\n"))
        .filter_map(|example| example.trim().strip_prefix("$ "));
    examples
        .map(|example| {
            let end = end_of_command(example);
            (example[..end].to_owned(), example[end..].to_owned())
        })
        .collect()
}

/// Where a command ends: at the end of a line, outside of quotes, that has no backslash before it.
fn end_of_command(text: &str) -> usize {
    let mut quoted = false;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '\n' if !quoted && before != '\\' => return at,
            _ => {}
        }
        before = character;
    }
    text.len()
}

/// Without blanks, which READMEs set as they like, and without what is different each time: ids of problems, times, seconds to wait.
fn plain(text: &str) -> String {
    let mut plain: String = without_times(text)
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    for (before, after) in [
        ("\"instance\":\"", "\""),
        ("<instance>", "<"),
        ("retry-after:", "c"),
        ("ratelimit-reset:", "r"),
    ] {
        let mut from = 0;
        while let Some(found) = plain[from..].find(before) {
            let start = from + found + before.len();
            let end = plain[start..].find(after).map_or(plain.len(), |at| start + at);
            plain.replace_range(start..end, "");
            from = start;
        }
    }
    plain
}

/// Without times such as `2026-11-21T16:11:48.212Z`.
fn without_times(text: &str) -> String {
    const SHAPE: &str = "0000-00-00T00:00:00";
    let is_time = |text: &str| {
        let digit = |character: char| {
            if character.is_ascii_digit() {
                '0'
            } else {
                character
            }
        };
        text.chars().take(SHAPE.len()).map(digit).eq(SHAPE.chars())
    };
    let mut plain = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if is_time(rest) {
            rest = rest.trim_start_matches(|character: char| character != 'Z');
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    plain
}
