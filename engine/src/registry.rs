//! What extension crates register: mediators, transports, formats. Explicit slices, whose order is the order of the docs.

use crate::build::Build;
use crate::config::{Node, Spanned};
use crate::format::FormatSpec;
use crate::mediator::StepKind;
use crate::route::Guard;
use crate::store::Store;
use crate::transport::{Listener, Sender};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::sync::Arc;

/// Everything that configurations can name.
#[derive(Clone, Copy)]
pub struct Registry {
    /// The steps of the language.
    pub mediators: &'static [StepSpec],
    /// Where messages come from and go to.
    pub transports: &'static [TransportSpec],
    /// Media types.
    pub formats: &'static [FormatSpec],
}

impl Registry {
    /// The mediator of this name.
    #[must_use]
    pub fn mediator(&self, name: &str) -> Option<&'static StepSpec> {
        self.mediators.iter().find(|spec| spec.name == name)
    }

    /// The transport of this name.
    #[must_use]
    pub fn transport(&self, name: &str) -> Option<&'static TransportSpec> {
        self.transports.iter().find(|spec| spec.name == name)
    }

    /// The transport whose sender serves URLs of this scheme.
    #[must_use]
    pub fn transport_for_scheme(&self, scheme: &str) -> Option<&'static TransportSpec> {
        let serves = |spec: &&TransportSpec| {
            spec.sender
                .as_ref()
                .is_some_and(|sender| sender.schemes.contains(&scheme))
        };
        self.transports.iter().find(serves)
    }
}

/// The configuration of a mediator. Its documentation is that of the type and its fields.
pub trait StepConfig: DeserializeOwned + JsonSchema + 'static {
    /// The name: YAML key, file and docs page.
    const NAME: &'static str;
    /// A list of steps that shows it, as YAML. Checked by a test.
    const EXAMPLE: &'static str;
    /// The key that a value stands for when it is given directly (`- log: "text"`).
    const SHORTHAND: Option<&'static str> = None;
    /// Whether nothing can follow this step in its list.
    const TERMINAL: bool = false;
    /// The key of child steps that takes the rest of the list where it is not given: `- split: { over: ... }` and what follows.
    const REST: Option<&'static str> = None;

    /// Compiles the configuration. Problems go to `cx`; `None` says that there were some.
    fn build(self, cx: &mut Build<'_>) -> Option<StepKind>;
}

/// A mediator as it is registered.
pub struct StepSpec {
    /// Its name.
    pub name: &'static str,
    /// An example, as YAML.
    pub example: &'static str,
    /// The key that a directly given value stands for.
    pub shorthand: Option<&'static str>,
    /// Whether nothing can follow it.
    pub terminal: bool,
    /// The key of child steps that takes the rest of the list where it is not given.
    pub rest: Option<&'static str>,
    /// The JSON Schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads and compiles its settings.
    pub build: fn(&Node, &mut Build<'_>) -> Option<StepKind>,
}

impl StepSpec {
    /// The registration of a mediator.
    #[must_use]
    pub const fn of<T: StepConfig>() -> Self {
        Self {
            name: T::NAME,
            example: T::EXAMPLE,
            shorthand: T::SHORTHAND,
            terminal: T::TERMINAL,
            rest: T::REST,
            schema: SchemaGenerator::subschema_for::<T>,
            build: |node, cx| match T::SHORTHAND {
                Some(key) => cx.read_with_shorthand::<T>(node, key)?.build(cx),
                None => cx.read::<T>(node)?.build(cx),
            },
        }
    }
}

/// A transport as it is registered.
pub struct TransportSpec {
    /// Its name: the YAML key, file and docs page.
    pub name: &'static str,
    /// What it does, in Markdown; the first line is the summary.
    pub docs: &'static str,
    /// Network listeners: entries of `settings.listeners`.
    pub listener: Option<ListenerSpec>,
    /// What a proxy receives from: `from: { NAME: ... }`.
    pub entry: Option<EntrySpec>,
    /// What an endpoint sends to: `NAME: ADDRESS`.
    pub sender: Option<SenderSpec>,
    /// Connections that several artifacts share: entries of `connections`, as `NAME: SETTINGS`.
    pub connection: Option<ConnectionSpec>,
    /// Message stores that live in its server: entries of `stores`, as `NAME: SETTINGS`.
    pub store: Option<StoreSpec>,
}

/// A shared connection.
pub struct ConnectionSpec {
    /// The JSON Schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Builds the connection of this name. It opens when it is first used.
    pub build: BuildConnection,
}

/// Builds a connection from its name and settings.
pub type BuildConnection = fn(&Arc<str>, &Node, &mut Build<'_>) -> Option<Arc<dyn Any + Send + Sync>>;

/// A kind of message store.
pub struct StoreSpec {
    /// The JSON Schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Builds the store of this name. Opening it is for [`Store::open`].
    pub build: BuildStore,
}

/// Builds a store from its name and settings.
pub type BuildStore = fn(&Arc<str>, &Node, &mut Build<'_>) -> Option<Arc<dyn Store>>;

/// The receiving half as a network listener.
pub struct ListenerSpec {
    /// The JSON Schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Builds the listener of this name. A null node stands for the defaults.
    pub build: BuildListener,
}

/// Builds a listener from its name and settings.
pub type BuildListener = fn(&Arc<str>, &Node, &mut Build<'_>) -> Option<Arc<dyn Listener>>;

/// The receiving half as the entry of a proxy.
pub struct EntrySpec {
    /// The JSON Schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Builds the entry of the artifact of this name (`proxies.orders`).
    pub build: fn(&Arc<str>, &Node, &mut Build<'_>) -> Option<EntryPoint>,
}

/// The sending half.
pub struct SenderSpec {
    /// URL schemes that select this transport where an endpoint is just a URL.
    pub schemes: &'static [&'static str],
    /// The JSON Schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Builds the sender for an address.
    pub build: fn(&Node, &mut Build<'_>) -> Option<Arc<dyn Sender>>,
}

/// Where a proxy's messages come from.
pub enum EntryPoint {
    /// A path on network listeners.
    Route(EntryRoute),
    /// A listener of its own: a folder, a queue.
    Listener(Arc<dyn Listener>),
}

/// A path on network listeners.
#[derive(Clone, Debug, Default)]
pub struct EntryRoute {
    /// The path: `/legacy`.
    pub path: Spanned<String>,
    /// Whether everything below the path belongs to it.
    pub prefix: bool,
    /// Methods; none stands for all.
    pub methods: Vec<Method>,
    /// Host conditions; none stands for all hosts.
    pub guards: Vec<Guard>,
    /// Listeners by name; none stands for all.
    pub listeners: Vec<Spanned<String>>,
}
