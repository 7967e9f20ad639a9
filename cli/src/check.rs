//! `mediary check`: builds a project without opening anything, and shows every problem. Tests are read too, so
//! that a typo in one is found before it runs.

use crate::arguments::{CheckOptions, Format};
use crate::console::{Console, End, GOOD, count, paint};
use crate::project::{self, Lasting, Loaded};
use crate::test::suite;
use engine::deployment::{ArtifactKind, Deployment};
use serde_json::json;

/// Runs the command.
pub fn run(options: &CheckOptions, console: &mut Console) -> End {
    let mut loaded = project::load(&options.project);
    suite::read(&mut loaded);
    let deployment = loaded.build(&Lasting::default());
    match options.format {
        Format::Text => print_text(&loaded, deployment.as_ref(), console),
        Format::Json => print_json(&mut loaded, deployment.as_ref(), console),
    }
    if loaded.diagnostics.has_errors() {
        End::Problems
    } else {
        End::Fine
    }
}

fn print_text(loaded: &Loaded, deployment: Option<&Deployment>, console: &mut Console) {
    loaded.report(console);
    if let Some(deployment) = deployment.filter(|_| !loaded.diagnostics.has_errors()) {
        console.say(format_args!("{}: {}", paint(GOOD, "ok"), contents(deployment)));
    }
}

fn print_json(loaded: &mut Loaded, deployment: Option<&Deployment>, console: &mut Console) {
    loaded.diagnostics.sort();
    let result = json!({
        "ok": !loaded.diagnostics.has_errors(),
        "errors": loaded.diagnostics.errors(),
        "left_out": loaded.diagnostics.left_out(),
        "contents": deployment.map(contents),
        "diagnostics": loaded.diagnostics.to_json(&loaded.project.sources),
    });
    console.say(format_args!("{result:#}"));
}

/// `2 apis, 1 proxy, 14 steps`.
#[must_use]
pub fn contents(deployment: &Deployment) -> String {
    let of_kind = |kind| {
        deployment
            .artifacts
            .iter()
            .filter(|artifact| artifact.kind == kind)
            .count()
    };
    let mut steps = 0;
    deployment.visit_steps(&mut |_| steps += 1);
    let counts = [
        (of_kind(ArtifactKind::Api), "api", "apis"),
        (of_kind(ArtifactKind::Proxy), "proxy", "proxies"),
        (of_kind(ArtifactKind::Task), "task", "tasks"),
        (of_kind(ArtifactKind::Processor), "processor", "processors"),
        (deployment.sequences.len(), "sequence", "sequences"),
        (deployment.endpoints.len(), "endpoint", "endpoints"),
        (deployment.stores.len(), "store", "stores"),
    ];
    let mut parts: Vec<String> = counts
        .into_iter()
        .filter(|(number, _, _)| *number > 0)
        .map(|(number, one, many)| count(number, one, many))
        .collect();
    parts.push(count(steps, "step", "steps"));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use crate::console::End;
    use crate::testing::{folder, mediary};

    #[test]
    fn a_good_project_is_counted() {
        let folder = folder(&[(
            "a.yaml",
            "proxies: { p: { from: { http: /p }, to: 'http://localhost:1' } }\n",
        )]);
        let ran = mediary(&["check", folder.path().to_str().unwrap()]);
        assert_eq!((ran.end, ran.err.as_str()), (End::Fine, ""));
        assert_eq!(ran.out, "ok: 1 proxy, 1 step\n");
    }

    #[test]
    fn tasks_are_counted() {
        let folder = folder(&[(
            "a.yaml",
            "tasks: { t: { schedule: 10s, steps: [ log: tick ] } }\n",
        )]);
        let ran = mediary(&["check", folder.path().to_str().unwrap()]);
        assert_eq!((ran.end, ran.err.as_str()), (End::Fine, ""));
        assert_eq!(ran.out, "ok: 1 task, 1 step\n");
    }

    #[test]
    fn every_problem_is_shown_with_its_place_in_tests_too() {
        let project = "apis:\n  a:\n    context: /a\n    routes:\n      GET /x:\n        - logg: hello\n        - respond\n";
        let test = "- name: t\n  send: { GET: /a/x }\n  expect: { statuss: 200 }\n";
        let folder = folder(&[("a.yaml", project), ("a.test.yaml", test)]);
        let path = folder.path().to_str().unwrap();
        let ran = mediary(&["check", path]);
        assert_eq!(ran.end, End::Problems);
        insta::assert_snapshot!(ran.err.replace(path, "DIR"), @r##"
        error[config.unknown_step]: there is no step `logg`
         --> DIR/a.yaml:6:11
          |
        6 |         - logg: hello
          |           ^^^^
          |
          = help: did you mean `log`?

        error[config.unknown_key]: unknown key `statuss`
         --> DIR/a.test.yaml:3:13
          |
        3 |   expect: { statuss: 200 }
          |             ^^^^^^^
          |
          = help: did you mean `status`?

        2 problems in 2 files
        "##);
    }

    #[test]
    fn editors_get_json() {
        let folder = folder(&[("a.yaml", "proxie: {}\n")]);
        let ran = mediary(&["check", folder.path().to_str().unwrap(), "--format", "json"]);
        let result: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(ran.end, End::Problems);
        assert_eq!(result["ok"], false);
        let first = &result["diagnostics"][0];
        assert_eq!(
            (&first["code"], &first["line"]),
            (&"config.unknown_key".into(), &1.into())
        );
        assert_eq!(first["help"], "did you mean `proxies`?");
    }
}
