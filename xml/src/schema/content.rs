//! Content models: a particle becomes a small program, and a run of it follows all its threads at once.
//!
//! Occurrence bounds are counters, not copies, so that `maxOccurs="1000000"` costs nothing. A schema whose
//! particles are unambiguous, as XML Schema demands, keeps one thread or two; for others their number is
//! limited.

use super::component::{Components, ElementId, Particle, Term, Wildcard};
use crate::Name;

/// Threads of one run at most.
const THREADS_MAX: usize = 512;

#[derive(Clone, Debug)]
pub(super) enum Instruction {
    Element(ElementId),
    Any(Wildcard),
    /// Go on at both.
    Split(usize, usize),
    Jump(usize),
    Reset(usize),
    /// The head of a counted loop: go on with the body after this, with `exit`, or both.
    Loop {
        counter: usize,
        least: u32,
        most: Option<u32>,
        exit: usize,
    },
    Accept,
}

/// A compiled content model.
#[derive(Clone, Debug)]
pub(super) enum Program {
    Threads {
        code: Vec<Instruction>,
        counters: usize,
    },
    /// `xs:all`: each at most once, in any order.
    All {
        members: Vec<(ElementId, bool)>,
        optional: bool,
    },
}

/// What a child was matched with.
#[derive(Clone, Debug)]
pub(super) enum Matched {
    Element(ElementId),
    Any(Wildcard),
}

impl Program {
    pub(super) fn compile(particle: &Particle) -> Self {
        if let Term::All(members) = &particle.term {
            let member = |member: &Particle| match member.term {
                Term::Element(id) => Some((id, member.least > 0)),
                _ => None,
            };
            let members = members.iter().filter_map(member).collect();
            return Self::All {
                members,
                optional: particle.least == 0,
            };
        }
        let mut compiler = Compiler {
            code: Vec::new(),
            counters: 0,
        };
        compiler.particle(particle);
        compiler.emit(Instruction::Accept);
        Self::Threads {
            code: compiler.code,
            counters: compiler.counters,
        }
    }

    pub(super) fn start(&self) -> Run {
        match self {
            Self::All { members, .. } => Run {
                threads: Vec::new(),
                seen: vec![false; members.len()],
            },
            Self::Threads { code, counters } => {
                let mut closure = Closure::new(code);
                closure.follow(0, vec![0; *counters], &mut Vec::new());
                Run {
                    threads: closure.threads,
                    seen: Vec::new(),
                }
            }
        }
    }

    /// Takes the next child. `None` if it cannot stand here; the run then stays as it was.
    pub(super) fn step(&self, run: &mut Run, components: &Components, name: Name<'_>) -> Option<Matched> {
        match self {
            Self::All { members, .. } => {
                let accepts = |id: ElementId| accept_element(components, id, name);
                let (index, found) = members
                    .iter()
                    .enumerate()
                    .find_map(|(index, (id, _))| accepts(*id).map(|found| (index, found)))?;
                let repeated = std::mem::replace(&mut run.seen[index], true);
                (!repeated).then_some(Matched::Element(found))
            }
            Self::Threads { code, .. } => step_threads(code, run, components, name),
        }
    }

    /// Whether the content may end here.
    pub(super) fn is_complete(&self, run: &Run) -> bool {
        match self {
            Self::All { members, optional } => {
                let started = run.seen.iter().any(|&seen| seen);
                let all = members
                    .iter()
                    .zip(&run.seen)
                    .all(|((_, required), &seen)| seen || !required);
                all || *optional && !started
            }
            Self::Threads { code, .. } => run
                .threads
                .iter()
                .any(|thread| matches!(code[thread.at], Instruction::Accept)),
        }
    }

    /// The names that could come next.
    pub(super) fn expected(&self, run: &Run, components: &Components) -> Vec<String> {
        let name = |id: ElementId| components.element(id).name.to_string();
        let mut names: Vec<String> = match self {
            Self::All { members, .. } => {
                let missing = members.iter().zip(&run.seen).filter(|(_, seen)| !**seen);
                missing.map(|((id, _), _)| name(*id)).collect()
            }
            Self::Threads { code, .. } => {
                let at = run.threads.iter().map(|thread| &code[thread.at]);
                at.filter_map(|instruction| match instruction {
                    Instruction::Element(id) => Some(name(*id)),
                    Instruction::Any(_) => Some("any element that the wildcard allows".to_owned()),
                    _ => None,
                })
                .collect()
            }
        };
        names.sort();
        names.dedup();
        names.truncate(10);
        names
    }
}

/// Where a content model stands.
#[derive(Clone, Debug)]
pub(super) struct Run {
    threads: Vec<Thread>,
    seen: Vec<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Thread {
    at: usize,
    counters: Vec<u32>,
}

fn step_threads(
    code: &[Instruction],
    run: &mut Run,
    components: &Components,
    name: Name<'_>,
) -> Option<Matched> {
    let mut matched: Option<Matched> = None;
    let mut closure = Closure::new(code);
    for thread in &run.threads {
        let found = match &code[thread.at] {
            Instruction::Element(id) => accept_element(components, *id, name).map(Matched::Element),
            Instruction::Any(wildcard) if wildcard.allows(name.namespace) => {
                Some(Matched::Any(wildcard.clone()))
            }
            _ => None,
        };
        let Some(found) = found else { continue };
        closure.follow(thread.at + 1, thread.counters.clone(), &mut Vec::new());
        // A declaration says more than a wildcard.
        if matches!(
            (&matched, &found),
            (None, _) | (Some(Matched::Any(_)), Matched::Element(_))
        ) {
            matched = Some(found);
        }
    }
    matched.as_ref()?;
    run.threads = closure.threads;
    matched
}

/// The declaration for a child of this name: the element itself or one that may substitute it.
fn accept_element(components: &Components, id: ElementId, name: Name<'_>) -> Option<ElementId> {
    if components.element(id).name.is(name) {
        return Some(id);
    }
    let substitutes = components.substitutes.get(&id)?;
    substitutes
        .iter()
        .copied()
        .find(|&substitute| components.element(substitute).name.is(name))
}

struct Compiler {
    code: Vec<Instruction>,
    counters: usize,
}

impl Compiler {
    fn emit(&mut self, instruction: Instruction) -> usize {
        self.code.push(instruction);
        self.code.len() - 1
    }

    fn particle(&mut self, particle: &Particle) {
        match (particle.least, particle.most) {
            (_, Some(0)) => {}
            (1, Some(1)) => self.term(&particle.term),
            (0, Some(1)) => {
                let split = self.emit(Instruction::Jump(0));
                self.term(&particle.term);
                self.code[split] = Instruction::Split(split + 1, self.code.len());
            }
            (least, most) => self.counted(least, most, &particle.term),
        }
    }

    fn counted(&mut self, least: u32, most: Option<u32>, term: &Term) {
        let counter = self.counters;
        self.counters += 1;
        self.emit(Instruction::Reset(counter));
        let head = self.emit(Instruction::Jump(0));
        self.term(term);
        self.emit(Instruction::Jump(head));
        // A body that may be empty may be empty as often as is wanted.
        let least = if is_emptiable(term) { 0 } else { least };
        self.code[head] = Instruction::Loop {
            counter,
            least,
            most,
            exit: self.code.len(),
        };
    }

    fn term(&mut self, term: &Term) {
        match term {
            Term::Element(id) => {
                self.emit(Instruction::Element(*id));
            }
            Term::Any(wildcard) => {
                self.emit(Instruction::Any(wildcard.clone()));
            }
            Term::Sequence(particles) => particles.iter().for_each(|particle| self.particle(particle)),
            Term::Choice(particles) | Term::All(particles) => self.choice(particles),
        }
    }

    fn choice(&mut self, particles: &[Particle]) {
        let mut ends = Vec::new();
        for (index, particle) in particles.iter().enumerate() {
            if index + 1 == particles.len() {
                self.particle(particle);
                break;
            }
            let split = self.emit(Instruction::Jump(0));
            self.particle(particle);
            ends.push(self.emit(Instruction::Jump(0)));
            self.code[split] = Instruction::Split(split + 1, self.code.len());
        }
        for end in ends {
            self.code[end] = Instruction::Jump(self.code.len());
        }
    }
}

fn is_emptiable(term: &Term) -> bool {
    let empty = |particle: &Particle| particle.least == 0 || is_emptiable(&particle.term);
    match term {
        Term::Element(_) | Term::Any(_) => false,
        Term::Sequence(particles) | Term::All(particles) => particles.iter().all(empty),
        Term::Choice(particles) => particles.is_empty() || particles.iter().any(empty),
    }
}

/// The threads that wait for a child after all jumps were followed.
struct Closure<'a> {
    code: &'a [Instruction],
    threads: Vec<Thread>,
    /// All that was passed. Few, so that searching them in order is faster than hashing.
    known: Vec<Thread>,
}

impl<'a> Closure<'a> {
    fn new(code: &'a [Instruction]) -> Self {
        Self {
            code,
            threads: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Follows one thread. `entered` holds the loop heads passed on the way: going round again without
    /// having taken a child leads nowhere new.
    fn follow(&mut self, at: usize, counters: Vec<u32>, entered: &mut Vec<usize>) {
        let mut pending = vec![(at, counters, std::mem::take(entered))];
        while let Some((at, mut counters, mut entered)) = pending.pop() {
            if self.threads.len() >= THREADS_MAX || self.known.len() >= 4 * THREADS_MAX {
                return;
            }
            let thread = Thread {
                at,
                counters: counters.clone(),
            };
            if self.known.contains(&thread) {
                continue;
            }
            self.known.push(thread.clone());
            match &self.code[at] {
                Instruction::Element(_) | Instruction::Any(_) | Instruction::Accept => {
                    self.threads.push(thread);
                }
                Instruction::Jump(to) => pending.push((*to, counters, entered)),
                Instruction::Split(first, second) => {
                    pending.push((*second, counters.clone(), entered.clone()));
                    pending.push((*first, counters, entered));
                }
                Instruction::Reset(counter) => {
                    counters[*counter] = 0;
                    pending.push((at + 1, counters, entered));
                }
                Instruction::Loop {
                    counter,
                    least,
                    most,
                    exit,
                } => {
                    let count = counters[*counter];
                    if count >= *least {
                        let mut left = counters.clone();
                        left[*counter] = 0;
                        pending.push((*exit, left, entered.clone()));
                    }
                    if most.is_none_or(|most| count < most) && !entered.contains(&at) {
                        // Without an upper bound, counts beyond the lower one are all the same.
                        let enough = if most.is_none() { *least } else { u32::MAX };
                        counters[*counter] = count.saturating_add(1).min(enough);
                        entered.push(at);
                        pending.push((at + 1, counters, entered));
                    }
                }
            }
        }
    }
}
