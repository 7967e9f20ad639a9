//! `mediary explain`: what each route does with the bodies of its messages. A body that no step reads streams
//! through; the first step that reads it makes the gateway hold it in memory, and this says which step that is.

use crate::arguments::ExplainOptions;
use crate::console::{Console, End, FAINT, GOOD, STRONG, WARN, paint};
use crate::project::{self, Lasting};
use engine::deployment::{Artifact, ArtifactKind, Deployment, RouteSteps};
use engine::endpoint::EndpointRef;
use engine::mediator::{Needs, Sends};
use engine::sequence::{Sequence, Step};

/// Runs the command.
pub fn run(options: &ExplainOptions, console: &mut Console) -> End {
    let mut loaded = project::load(&options.project);
    let deployment = loaded.build(&Lasting::default());
    loaded.report(console);
    let Some(deployment) = deployment else {
        return End::Problems;
    };
    for artifact in &deployment.artifacts {
        console.say(paint(STRONG, &artifact.name));
        for route in &artifact.routes {
            console.say(format_args!("  {}", route.template));
            for line in explain(artifact, route, &deployment) {
                console.say(format_args!("    {line}"));
            }
        }
    }
    End::Fine
}

/// What happens to the request's body, and to that of each reply that a step waits for.
fn explain<'a>(artifact: &'a Artifact, route: &'a RouteSteps, deployment: &'a Deployment) -> Vec<String> {
    // A task starts with an empty message: there is nothing to stream or to hold.
    let (message, buffered) = match artifact.kind {
        ArtifactKind::Api | ArtifactKind::Proxy => ("request", false),
        ArtifactKind::Processor => ("stored message", false),
        ArtifactKind::Task => ("run", true),
    };
    let mut walk = Walk {
        deployment,
        message: message.to_owned(),
        buffered,
        lines: Vec::new(),
        entered: Vec::new(),
    };
    match route.original {
        Some(needs) if needs > Needs::Headers && !walk.buffered => {
            walk.buffered = true;
            let text = format!(
                "buffered on arrival, because `original` is read ({})",
                reads(needs)
            );
            walk.line(&paint(WARN, text));
        }
        _ => {}
    }
    if artifact.kind == ArtifactKind::Task {
        walk.line(&paint(GOOD, "starts with an empty message"));
    }
    for sequence in [&artifact.policies, &route.policies, &route.steps] {
        walk.sequence(sequence);
    }
    walk.end_of_message();
    walk.lines
}

struct Walk<'a> {
    deployment: &'a Deployment,
    /// Which message flows here: the request, or the reply of a step.
    message: String,
    buffered: bool,
    lines: Vec<String>,
    /// Named sequences on the way down, so that one which calls itself ends.
    entered: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn sequence(&mut self, sequence: &'a Sequence) {
        for step in sequence.steps() {
            self.step(step);
        }
    }

    fn step(&mut self, step: &'a Step) {
        if step.needs > Needs::Headers && !self.buffered {
            self.buffer(step, reads(step.needs));
        }
        for (_, children) in step.kind.children() {
            self.sequence(children);
        }
        if let Some(name) = step.kind.named_sequence() {
            self.named(name);
        }
        if let Some(sends) = step.kind.sends() {
            self.sends(step, &sends);
        }
    }

    fn sends(&mut self, step: &Step, sends: &Sends<'_>) {
        let why = match sends.endpoint {
            _ if self.buffered || !sends.own_body => None,
            _ if !sends.replaces => Some("the message goes on after it was sent".to_owned()),
            EndpointRef::Fixed(endpoint) => {
                let why = endpoint.buffers();
                why.map(|why| format!("endpoint `{}`: {why}", endpoint.name()))
            }
            EndpointRef::Dynamic(_) => None,
        };
        if let Some(why) = why {
            self.buffer(step, &why);
        }
        if sends.replaces {
            self.end_of_message();
            self.message = format!("reply to `{}` at {}", step.mediator, step.position);
            self.buffered = false;
        }
    }

    fn buffer(&mut self, step: &Step, why: &str) {
        self.buffered = true;
        let text = format!("buffered at {} by `{}` ({why})", step.position, step.mediator);
        self.line(&paint(WARN, text));
    }

    fn named(&mut self, name: &'a str) {
        let Some(named) = self.deployment.sequences.get(name) else {
            return;
        };
        if !self.entered.contains(&name) {
            self.entered.push(name);
            self.sequence(&named.steps);
            self.entered.pop();
        }
    }

    fn end_of_message(&mut self) {
        if !self.buffered {
            self.line(&paint(GOOD, "pass-through: no step reads it"));
        }
    }

    fn line(&mut self, what: &str) {
        let message = paint(FAINT, format!("{}:", self.message));
        self.lines.push(format!("{message} {what}"));
    }
}

fn reads(needs: Needs) -> &'static str {
    match needs {
        Needs::Headers => "reads headers only",
        Needs::Bytes => "reads the bytes",
        Needs::Model => "reads the parsed content",
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{folder, mediary};

    const PROJECT: &str = "\
endpoints:
  plain: http://localhost:1
  careful: { http: 'http://localhost:1', retry: { attempts: 1 } }
sequences:
  reading:
    - filter: { when: payload.a == 1 }
proxies:
  a: { from: { http: /a }, to: plain }
  b: { from: { http: /b }, to: careful }
  c:
    from: { http: /c }
    steps:
      - filter:
          when: headers['x-a'] == 'b'
          then:
            - sequence: reading
      - call: plain
      - log: ${payload}
";

    #[test]
    fn a_task_starts_with_nothing() {
        let project = "tasks:\n  t:\n    schedule: 10s\n    steps:\n      - log: ${payload}\n      - call: http://localhost:1\n";
        let folder = folder(&[("a.yaml", project)]);
        let path = folder.path().to_str().unwrap();
        let ran = mediary(&["explain", path]);
        assert_eq!(ran.err, "");
        insta::assert_snapshot!(ran.out.replace(path, "DIR"), @r##"
        tasks.t
          t
            run: starts with an empty message
            reply to `call` at DIR/a.yaml:6:9: pass-through: no step reads it
        "##);
    }

    #[test]
    fn who_reads_what_and_where() {
        let folder = folder(&[("a.yaml", PROJECT)]);
        let path = folder.path().to_str().unwrap();
        let ran = mediary(&["explain", path]);
        assert_eq!(ran.err, "");
        insta::assert_snapshot!(ran.out.replace(path, "DIR"), @r##"
        proxies.a
          a
            request: pass-through: no step reads it
            reply to `to` at DIR/a.yaml:8:32: pass-through: no step reads it
        proxies.b
          b
            request: buffered at DIR/a.yaml:9:32 by `to` (endpoint `careful`: `retry` may have to send it again, POST and PATCH aside)
            reply to `to` at DIR/a.yaml:9:32: pass-through: no step reads it
        proxies.c
          c
            request: buffered at DIR/a.yaml:6:7 by `filter` (reads the parsed content)
            reply to `call` at DIR/a.yaml:17:9: buffered at DIR/a.yaml:18:9 by `log` (reads the parsed content)
        "##);
    }
}
