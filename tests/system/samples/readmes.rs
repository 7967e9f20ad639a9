//! What the samples' READMEs show is what happens: their commands are run, and their output is compared.

use super::servers::Servers;
use super::{ALL, FREE_PORTS, folder};
use mediary_tests::{Running, mediary_command};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// From the start until the sample has sent its requests and serves.
const START_LIMIT: Duration = Duration::from_secs(60);
/// For one command of a README.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at what is not there yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The address that READMEs name.
const ADDRESS: &str = "localhost:8290";

#[test]
fn the_commands_of_the_readmes_show_what_is_written_there() {
    for name in ALL {
        let readme = std::fs::read_to_string(folder(name).join("README.md")).unwrap();
        let commands = commands(&readme);
        assert!(commands.len() >= 2, "{name} shows how to use it");
        let servers = Servers::start(name);
        let (_sample, address) = start(name, &servers);
        let folder = servers.folder();
        for (command, documented) in commands {
            let deadline = Instant::now() + COMMAND_LIMIT;
            loop {
                let output = run(&command.replace(ADDRESS, &address), folder);
                let output = output.replace(&address, ADDRESS);
                if is_as_documented(&output, &documented) {
                    break;
                }
                let in_time = only_looks(&command) && Instant::now() < deadline;
                assert!(
                    in_time,
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

/// The sample as its README starts it, and the host and port of its listener `http`.
fn start(name: &str, servers: &Servers) -> (Running, String) {
    let mut command = mediary_command();
    command.args(["samples", "run", name]);
    let sets = servers.sets.iter().map(String::as_str);
    for set in sets.chain(FREE_PORTS) {
        command.args(["--set", set]);
    }
    let mut process = Running::start(command);
    let address = process.wait_for_stdout(START_LIMIT, |stdout| {
        stdout.find("It goes on serving")?;
        let listening = stdout
            .lines()
            .find_map(|line| line.strip_prefix("listening http http://"));
        listening.map(str::to_owned)
    });
    let address = address.unwrap_or_else(|| panic!("{name} does not serve\n{}", process.stdout()));
    (process, address)
}

/// Whether a command changes nothing. It is repeated: what it looks at takes a moment to come.
fn only_looks(command: &str) -> bool {
    command.starts_with("cat ") || command.starts_with("ls ")
}

fn run(command: &str, folder: &Path) -> String {
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(folder);
    let end = Running::start(shell).wait(COMMAND_LIMIT);
    match only_looks(command) {
        // The file may come later.
        true => end.stdout,
        false => end.expect_success().stdout,
    }
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

/// Without blanks, which READMEs set as they like, and without what is different each time: ids and seconds to wait.
fn plain(text: &str) -> String {
    let mut plain: String = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    for (before, after) in [
        ("\"instance\":\"", "\""),
        ("<instance>", "<"),
        ("retry-after:", "c"),
        ("ratelimit-reset:", "r"),
    ] {
        let Some(start) = plain.find(before).map(|at| at + before.len()) else {
            continue;
        };
        let end = plain[start..].find(after).map_or(plain.len(), |at| start + at);
        plain.replace_range(start..end, "");
    }
    plain
}
