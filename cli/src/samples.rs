//! `mediary samples`: complete projects inside the binary, each with its backend as a second listener and with tests.
//! Running one starts it, sends what its tests send, and shows what comes back.

use crate::arguments::{ProjectOptions, SamplesAction, SamplesOptions};
use crate::console::{BAD, CODE, Console, End, FAINT, GOOD, STRONG, indented, paint};
use crate::gateway::{self, Served};
use crate::new::prepare_folder;
use crate::project::{self, Lasting};
use crate::run::logging;
use crate::servers;
use crate::test::conversation::Conversation;
use crate::test::definition::{SendConfig, TestCase, TestStep};
use crate::test::expect::pretty;
use crate::test::{local, runner, suite};
use engine::config::Sources;
use engine::workers::Workers;
use include_dir::{Dir, include_dir};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use xml::xpath::Namespaces;

/// What a README's line about servers begins with.
const NEEDS: &str = "Needs ";
/// What a running sample logs: its own `log` steps, and what goes wrong.
const LOG: &str = "warn,mediation=info";

static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../samples");

/// Runs the command.
pub fn run(options: &SamplesOptions, console: &mut Console) -> End {
    match options.action.as_ref().unwrap_or(&SamplesAction::List) {
        SamplesAction::List => list(console),
        SamplesAction::Run { name, once, set } => with(name, console, |sample, console| {
            start(sample, *once, set, console)
        }),
        SamplesAction::Copy { name, folder } => {
            with(name, console, |sample, console| copy(sample, folder, console))
        }
    }
}

/// The names of all samples.
pub fn names() -> impl Iterator<Item = &'static str> {
    SAMPLES.dirs().filter_map(|folder| folder.path().to_str())
}

fn list(console: &mut Console) -> End {
    let width = names().map(str::len).max().unwrap_or_default();
    for sample in SAMPLES.dirs() {
        let name = format!("{:width$}", sample.path().display());
        console.say(format_args!("{}  {}", paint(CODE, name), title(sample)));
    }
    console.say(
        "\n`mediary samples run NAME` shows one at work, `mediary samples copy NAME DIR` gives it to you.",
    );
    End::Fine
}

/// The heading of the sample's README.
fn title(sample: &Dir<'static>) -> String {
    line(sample, "# ").unwrap_or_default().to_owned()
}

/// The line of the sample's README that says which servers it needs, and how to start them.
fn needs(sample: &Dir<'static>) -> String {
    line(sample, NEEDS)
        .map(|line| format!("{NEEDS}{line}"))
        .unwrap_or_default()
}

fn line(sample: &Dir<'static>, prefix: &str) -> Option<&'static str> {
    let readme = sample
        .get_file(sample.path().join("README.md"))?
        .contents_utf8()?;
    readme.lines().find_map(|line| line.strip_prefix(prefix))
}

fn with(
    name: &str,
    console: &mut Console,
    body: impl FnOnce(&'static Dir<'static>, &mut Console) -> End,
) -> End {
    if let Some(sample) = SAMPLES
        .get_dir(name)
        .filter(|sample| sample.path().components().count() == 1)
    {
        return body(sample, console);
    }
    console.error(format_args!("there is no sample `{name}`"));
    if let Some(near) = engine::config::suggestion(name, names()) {
        console.complain(near);
    }
    console.complain("`mediary samples list` shows them all");
    End::Usage
}

fn copy(sample: &Dir<'_>, folder: &Path, console: &mut Console) -> End {
    let copied =
        prepare_folder(folder).and_then(|()| extract(sample, folder).map_err(|error| error.to_string()));
    match copied {
        Ok(()) => {
            console.say(format_args!("copied to {}", folder.display()));
            console.say(format_args!(
                "  {}",
                paint(CODE, format_args!("mediary run {}", folder.display()))
            ));
            End::Fine
        }
        Err(problem) => {
            console.error(problem);
            End::Problems
        }
    }
}

/// Writes the files of a sample, without the sample's own name in their paths.
fn extract(sample: &Dir<'_>, folder: &Path) -> std::io::Result<()> {
    fn write(part: &Dir<'_>, root: &Path, folder: &Path) -> std::io::Result<()> {
        for file in part.files() {
            let path = folder.join(file.path().strip_prefix(root).unwrap_or(file.path()));
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, file.contents())?;
        }
        part.dirs().try_for_each(|part| write(part, root, folder))
    }
    write(sample, sample.path(), folder)
}

fn start(sample: &Dir<'static>, once: bool, set: &[String], console: &mut Console) -> End {
    let unpacked = tempfile::tempdir().and_then(|folder| extract(sample, folder.path()).map(|()| folder));
    let started = unpacked.and_then(|folder| {
        let runtime = gateway::control_runtime()?;
        Ok((folder, runtime, Workers::start(0)?))
    });
    let (folder, runtime, workers) = match started {
        Ok(started) => started,
        Err(error) => {
            console.error(format_args!("the sample cannot be started: {error}"));
            return End::Problems;
        }
    };
    let options = ProjectOptions {
        path: folder.path().to_owned(),
        set: Vec::new(),
    };
    let written = local::ports(&project::load(&options).project);
    let mut loaded = project::load(&ProjectOptions {
        set: set.to_vec(),
        ..options
    });
    let tests = suite::read(&mut loaded);
    if loaded.diagnostics.has_errors() {
        loaded.report(console);
        return End::Problems;
    }
    let sources = loaded.project.sources.clone();
    let missing = runtime.block_on(servers::missing(&loaded.project));
    if !missing.is_empty() {
        for problem in missing {
            console.error(problem);
        }
        console.complain(needs(sample));
        return End::Problems;
    }
    // Twice in a process only where it is tested.
    let _ = logging::start(LOG);
    runtime.block_on(async {
        match local::serve(
            loaded,
            &written,
            &Lasting::default(),
            &workers,
            local::Servers::Used,
        )
        .await
        {
            Ok(served) => show(&served, &tests, &sources, once, console).await,
            Err(problem) => {
                console.error(problem);
                console.complain(needs(sample));
                End::Problems
            }
        }
    })
}

async fn show(
    served: &Served,
    tests: &[TestCase],
    sources: &Sources,
    once: bool,
    console: &mut Console,
) -> End {
    for listener in &served.listeners {
        console.say(paint(
            FAINT,
            format!("listening {} {}", listener.name, listener.url),
        ));
    }
    let mut expected = true;
    for test in tests.iter().filter(|test| is_for_the_sample_itself(test)) {
        console.say(format_args!("\n{}", paint(STRONG, &test.name.value)));
        let namespaces = Namespaces::new();
        let mut conversation = Conversation::new(served, sources, &namespaces);
        for step in test.exchanges() {
            expected &= exchange(&mut conversation, &step, console).await;
        }
    }
    if !once {
        go_on(served, tests, console);
        until_told_to_end().await;
    }
    served.gateway.drain().await;
    if expected { End::Fine } else { End::Problems }
}

/// Waits for Ctrl-C or SIGTERM. Where signals cannot be caught there is nothing to wait for.
async fn until_told_to_end() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Whether a test is about the sample as it stands, with its own backend, and not about one with mocks or other settings.
fn is_for_the_sample_itself(test: &TestCase) -> bool {
    let plain = test.mocks.is_empty() && test.set.is_empty() && test.env.is_empty();
    let typed = test.exchanges().iter().all(|step| step.send.to.is_none());
    test.live || (plain && typed)
}

/// One request and its reply; whether the reply was the expected one.
async fn exchange(conversation: &mut Conversation<'_>, step: &TestStep, console: &mut Console) -> bool {
    if let Some((method, path)) = step.send.methods().first() {
        console.say(format_args!(
            "  {}",
            paint(CODE, format!("{method} {}", path.as_str()))
        ));
    }
    let exchanged = conversation.exchange(step, |_, _| {}).await;
    let fine = exchanged.failures.is_empty();
    if let Ok(received) = &exchanged.received {
        let mark = if fine {
            paint(GOOD, "as expected")
        } else {
            paint(BAD, "not as expected")
        };
        console.say(format_args!(
            "  {} {}  {mark}",
            received.status,
            paint(FAINT, received.media_type())
        ));
        let body = pretty(received);
        if !body.is_empty() {
            console.say(indented(&body, "    "));
        }
    }
    for failure in &exchanged.failures {
        console.say(format_args!("  {}", paint(BAD, &failure.diagnostic.message)));
    }
    fine
}

fn go_on(served: &Served, tests: &[TestCase], console: &mut Console) {
    console.say("\nIt goes on serving until Ctrl-C. Try it:");
    let shown = tests.iter().filter(|test| is_for_the_sample_itself(test));
    for step in shown.flat_map(TestCase::exchanges) {
        let named = step.send.listener.as_ref().and_then(|name| served.url(name));
        // What is kept of an earlier reply cannot be typed.
        let url = named.or_else(|| runner::default_url(served)).unwrap_or_default();
        let line = curl(url, &step.send);
        if !line.contains("${") {
            console.say(format_args!("  {}", paint(CODE, line)));
        }
    }
}

/// The request as a command line.
fn curl(url: &str, send: &SendConfig) -> String {
    let mut line = "curl".to_owned();
    let (method, path) = send
        .methods()
        .first()
        .map_or(("GET", ""), |(method, path)| (*method, path.as_str()));
    if method != "GET" {
        line.push_str(&format!(" -X {method}"));
    }
    for (name, _, values) in send.headers.iter() {
        for value in values.iter() {
            line.push_str(&format!(" -H {}", quote(&format!("{name}: {}", value.as_str()))));
        }
    }
    let media_type = [
        (send.json.is_some(), "application/json"),
        (send.xml.is_some(), "application/xml"),
        (send.text.is_some(), "text/plain"),
    ];
    let media_type = send
        .content_type
        .as_ref()
        .map(engine::config::Text::as_str)
        .or_else(|| {
            media_type
                .iter()
                .find(|(given, _)| *given)
                .map(|(_, media_type)| *media_type)
        });
    if let Some(media_type) = media_type {
        line.push_str(&format!(" -H {}", quote(&format!("content-type: {media_type}"))));
    }
    let data = send.json.as_ref().map(|json| json.to_json().to_string());
    let text = [&send.xml, &send.text, &send.body].into_iter().flatten().next();
    if let Some(data) = data.or_else(|| text.map(|text| text.as_str().trim_end().to_owned())) {
        line.push_str(&format!(" --data {}", quote(&data)));
    }
    format!("{line} {}", quote(&format!("{url}{path}")))
}

/// For a POSIX shell.
fn quote(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/:._-".contains(character);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::{SAMPLES, extract, names};
    use crate::console::End;
    use crate::testing::mediary;

    #[test]
    fn every_sample_passes_its_own_tests() {
        assert!(names().count() > 0);
        for sample in SAMPLES.dirs() {
            let folder = tempfile::tempdir().unwrap();
            extract(sample, folder.path()).unwrap();
            let ran = mediary(&["test", folder.path().to_str().unwrap()]);
            assert_eq!(
                ran.end,
                End::Fine,
                "{}\n{}{}",
                sample.path().display(),
                ran.out,
                ran.err
            );
        }
    }

    #[test]
    fn a_sample_is_run_shown_and_compared() {
        let ports = ["http", "backend"].map(|name| format!("settings.listeners.{name}.port=0"));
        let management = "settings.management.port=0";
        let sets = ["--set", &ports[0], "--set", &ports[1], "--set", management];
        let ran = mediary(&[&["samples", "run", "rest-to-soap", "--once"], &sets[..]].concat());
        assert_eq!(ran.end, End::Fine, "{}{}", ran.out, ran.err);
        assert!(
            ran.out
                .contains("GET /stocks/v1/quotes/IBM\n  200 OK application/json  as expected"),
            "{}",
            ran.out
        );
    }

    #[test]
    fn an_unknown_sample_is_a_usage_error() {
        let ran = mediary(&["samples", "run", "rest-to-sop"]);
        assert_eq!(ran.end, End::Usage);
        assert!(ran.err.contains("did you mean `rest-to-soap`?"), "{}", ran.err);
    }

    #[test]
    fn requests_are_shown_as_they_can_be_typed() {
        let text = "{ POST: /a b, json: { a: it's }, headers: { x-a: [1, 2] } }";
        let node = engine::config::parse(&mut engine::config::Sources::default(), "t", text)
            .0
            .unwrap();
        let send = engine::config::read(&node, &mut engine::config::Diagnostics::new()).unwrap();
        let expected = r#"curl -X POST -H 'x-a: 1' -H 'x-a: 2' -H 'content-type: application/json' --data '{"a":"it'\''s"}' 'http://h:1/a b'"#;
        assert_eq!(super::curl("http://h:1", &send), expected);
    }
}
