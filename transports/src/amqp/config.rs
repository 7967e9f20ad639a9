//! The configuration of AMQP: connections, what proxies consume, where endpoints publish to.

mod connection;
mod consumer;
mod sender;
mod store;

pub(super) use connection::{ConnectionConfig, build as build_connection};
pub(super) use consumer::{ConsumerConfig, build as build_consumer};
pub(super) use sender::{SenderConfig, build as build_sender};
pub(super) use store::{StoreConfig, build as build_store};

use lapin::types::ShortString;

/// A name of AMQP: at most 255 bytes.
fn name(text: &engine::config::Spanned<String>, cx: &mut engine::build::Build<'_>) -> Option<ShortString> {
    let name = ShortString::try_new(text.value.as_str()).ok();
    if name.is_none() {
        let problem = "names of AMQP have at most 255 bytes";
        cx.error("config.bad_value", text.span, problem, None);
    }
    name
}
