//! Which route serves a request: by listener, path, version header, host and method. The most specific path wins.

use crate::deployment::Artifact;
use crate::mediator::Needs;
use crate::observe::RouteMetrics;
use crate::sequence::Sequence;
use http::{HeaderMap, HeaderName, Method};
use indexmap::IndexMap;
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// One route of an API, or a proxy's path.
pub struct Route {
    /// The artifact it belongs to.
    pub artifact: Arc<Artifact>,
    /// Method and path template: the label of logs and metrics.
    pub template: Arc<str>,
    /// Names of the path parameters, in order.
    pub parameters: Vec<Arc<str>>,
    /// Steps before the route's own.
    pub policies: Sequence,
    /// The route's steps.
    pub steps: Sequence,
    /// What to do with their faults; without it the artifact's.
    pub on_fault: Option<Sequence>,
    /// How much of the original message to keep for `original`.
    pub original: Option<Needs>,
    /// Deadline of the exchange where it differs from the settings'.
    pub timeout: Option<Duration>,
    /// Whether the client speaks SOAP here whatever its headers say.
    pub soap: bool,
    /// Its metrics.
    pub metrics: RouteMetrics,
}

/// What has to hold beside the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// A header with this value selects the version.
    pub version_header: Option<(HeaderName, String)>,
    /// The host, in lower case and without port.
    pub host: Option<String>,
}

impl Guard {
    fn holds(&self, headers: &HeaderMap, host: &str) -> bool {
        let version = self.version_header.as_ref().is_none_or(|(name, wanted)| {
            headers
                .get(name)
                .is_some_and(|value| value.as_bytes() == wanted.as_bytes())
        });
        version
            && self
                .host
                .as_ref()
                .is_none_or(|wanted| host_name(host).eq_ignore_ascii_case(wanted))
    }

    fn specificity(&self) -> usize {
        usize::from(self.version_header.is_some()) + usize::from(self.host.is_some())
    }
}

fn host_name(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

struct Candidate {
    guard: Guard,
    artifact: Arc<Artifact>,
    methods: Vec<(Method, Arc<Route>)>,
    any_method: Option<Arc<Route>>,
}

/// The routes of a deployment.
#[derive(Default)]
pub struct RouteTable {
    listeners: HashMap<Arc<str>, matchit::Router<Vec<Candidate>>>,
}

/// What a look-up found.
pub enum Resolution<'a> {
    /// A route, the values of its path parameters and what lies below a prefix.
    Found {
        /// The route.
        route: &'a Arc<Route>,
        /// Decoded path parameters.
        parameters: Vec<(Arc<str>, String)>,
        /// The rest of the path below a prefix route: empty or beginning with `/`.
        rest: String,
    },
    /// An `OPTIONS` request that no route defines itself: the artifact's policies answer it, else `allow`.
    Options {
        /// The artifact asked.
        artifact: &'a Arc<Artifact>,
        /// The value of the `Allow` header.
        allow: String,
    },
    /// The path exists, the method does not.
    MethodNotAllowed {
        /// The value of the `Allow` header.
        allow: String,
    },
    /// Nothing is there.
    NotFound,
}

/// Why a route cannot be added.
#[derive(Debug, PartialEq, Eq)]
pub enum RouteConflict {
    /// This artifact already serves the same path, guard and method.
    Taken(Arc<str>),
    /// The pattern is malformed or contradicts another one.
    Pattern(String),
}

/// Collects routes.
#[derive(Default)]
pub struct RouteTableBuilder {
    entries: IndexMap<(Arc<str>, String), Vec<Candidate>>,
}

/// The name of the catch-all parameter that a prefix route ends with.
const REST: &str = "{*rest}";

impl RouteTableBuilder {
    /// Adds a route for a path pattern (`/quotes/{symbol}`; `/legacy/{*rest}` for all below) on a listener. No method stands for every method.
    ///
    /// # Errors
    /// The artifact that already serves the same pattern, guard and method.
    pub fn add(
        &mut self,
        listener: &Arc<str>,
        pattern: &str,
        guard: &Guard,
        method: Option<&Method>,
        route: &Arc<Route>,
    ) -> Result<(), RouteConflict> {
        let candidates = self
            .entries
            .entry((Arc::clone(listener), positional(pattern)))
            .or_default();
        let at = candidates.iter().position(|candidate| candidate.guard == *guard);
        let candidate = match at {
            Some(at) => &mut candidates[at],
            None => {
                candidates.push(Candidate {
                    guard: guard.clone(),
                    artifact: Arc::clone(&route.artifact),
                    methods: Vec::new(),
                    any_method: None,
                });
                candidates.last_mut().expect("just pushed")
            }
        };
        candidate.insert(method, route)
    }

    /// The finished table.
    ///
    /// # Errors
    /// The first pattern that cannot be routed.
    pub fn finish(self) -> Result<RouteTable, RouteConflict> {
        let mut table = RouteTable::default();
        for ((listener, pattern), mut candidates) in self.entries {
            candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.guard.specificity()));
            let router = table.listeners.entry(listener).or_default();
            router
                .insert(pattern.clone(), candidates)
                .map_err(|error| RouteConflict::Pattern(format!("`{pattern}`: {error}")))?;
        }
        Ok(table)
    }
}

impl Candidate {
    fn insert(&mut self, method: Option<&Method>, route: &Arc<Route>) -> Result<(), RouteConflict> {
        let taken = |route: &Arc<Route>| RouteConflict::Taken(Arc::clone(&route.artifact.name));
        match method {
            None => match &self.any_method {
                Some(existing) => return Err(taken(existing)),
                None => self.any_method = Some(Arc::clone(route)),
            },
            Some(method) => match self.methods.iter().find(|(existing, _)| existing == method) {
                Some((_, existing)) => return Err(taken(existing)),
                None => self.methods.push((method.clone(), Arc::clone(route))),
            },
        }
        Ok(())
    }

    fn route(&self, method: &Method) -> Option<&Arc<Route>> {
        let exact = |wanted: &Method| {
            self.methods
                .iter()
                .find(|(method, _)| method == wanted)
                .map(|(_, route)| route)
        };
        let found =
            exact(method).or_else(|| (*method == Method::HEAD).then(|| exact(&Method::GET)).flatten());
        found.or(self.any_method.as_ref())
    }

    fn allow(&self, names: &mut Vec<String>) {
        for (method, _) in &self.methods {
            names.push(method.to_string());
            if *method == Method::GET {
                names.push("HEAD".to_owned());
            }
        }
    }
}

impl RouteTable {
    /// Finds the route for a request with this normalised path.
    #[must_use]
    pub fn resolve(
        &self,
        listener: &str,
        path: &str,
        headers: &HeaderMap,
        host: &str,
        method: &Method,
    ) -> Resolution<'_> {
        let Some(router) = self.listeners.get(listener) else {
            return Resolution::NotFound;
        };
        let Ok(found) = router.at(path) else {
            return Resolution::NotFound;
        };
        let mut allow = Vec::new();
        let mut artifact = None;
        for candidate in found
            .value
            .iter()
            .filter(|candidate| candidate.guard.holds(headers, host))
        {
            if let Some(route) = candidate.route(method) {
                return bound(route, &found.params);
            }
            artifact.get_or_insert(&candidate.artifact);
            candidate.allow(&mut allow);
        }
        let Some(artifact) = artifact else {
            return Resolution::NotFound;
        };
        allow.push("OPTIONS".to_owned());
        allow.sort();
        allow.dedup();
        let allow = allow.join(", ");
        if *method == Method::OPTIONS {
            Resolution::Options { artifact, allow }
        } else {
            Resolution::MethodNotAllowed { allow }
        }
    }
}

fn bound<'a>(route: &'a Arc<Route>, found: &matchit::Params<'_, '_>) -> Resolution<'a> {
    let mut parameters = Vec::with_capacity(route.parameters.len());
    let mut rest = String::new();
    for (index, (name, value)) in found.iter().enumerate() {
        let decoded = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match route.parameters.get(index) {
            Some(parameter) => parameters.push((Arc::clone(parameter), decoded)),
            None if name == "rest" => rest = format!("/{value}"),
            None => {}
        }
    }
    Resolution::Found {
        route,
        parameters,
        rest,
    }
}

/// Path parameters get positional names, since two routes may name the same place differently.
fn positional(pattern: &str) -> String {
    let mut index = 0;
    let mut name = |segment: &str| {
        if segment == REST || !segment.contains('{') {
            return segment.to_owned();
        }
        let mut out = String::new();
        let mut rest = segment;
        while let (Some(open), Some(close)) = (rest.find('{'), rest.find('}')) {
            let star = if rest[open..].starts_with("{*") { "*" } else { "" };
            out.push_str(&format!("{}{{{star}p{index}}}", &rest[..open]));
            index += 1;
            rest = &rest[close + 1..];
        }
        out + rest
    };
    pattern.split('/').map(&mut name).collect::<Vec<_>>().join("/")
}

/// The names of a pattern's parameters, in order; the catch-all of a prefix aside.
#[must_use]
pub fn parameter_names(pattern: &str) -> Vec<Arc<str>> {
    let opened = pattern
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    opened
        .filter(|name| *name != "*rest")
        .map(|name| Arc::from(name.trim_start_matches('*')))
        .collect()
}

#[cfg(test)]
mod tests;
