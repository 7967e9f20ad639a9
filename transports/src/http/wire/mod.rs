//! HTTP/1.1 on the wire: sockets, buffers, body framing, heads and the writer. Used by server and client alike.

mod date;
mod decode;
mod head;
mod read;
mod socket;
mod write;

pub(crate) use date::http_date;
pub(crate) use decode::{Decoded, Decoder};
pub(crate) use head::{HeadWriter, find_head_end};
pub(crate) use read::ReadBuffer;
pub(crate) use socket::{Rewound, Socket, abort_on_close};
pub(crate) use write::{Content, Framing, WriteError, Writer};
