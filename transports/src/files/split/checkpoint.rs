//! How far a file has come, as a small file of its own. Whoever claims the file next, after a crash, a reload or a drain, goes on there.
//!
//! It stands beside the claims, under the path of the file, so that it is found by whoever holds the file. It counts only for a file of
//! the same size and time.

use super::config::{Into, Split};
use super::parts::Place;
use crate::files::serve::Taken;
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use engine::files::{Existing, FileStore};
use engine::payload::full;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

/// Most bytes of a checkpoint: the elements around a part, encoded, and some numbers.
const BYTES_MAX: u64 = 1 << 20;

/// The first part that is not settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Its number.
    pub(super) index: u64,
    /// Where it begins.
    pub(super) place: Place,
    /// How many parts before it were set aside.
    pub(super) set_aside: u64,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Written {
    size: u64,
    modified: Option<i64>,
    into: Into,
    index: u64,
    offset: u64,
    context: String,
    set_aside: u64,
}

/// Where the checkpoint of a file is.
pub(in crate::files) fn path(file: &str) -> String {
    format!("{}/{file}", crate::files::claims::CHECKPOINTS)
}

/// The checkpoint of a file, where it has one.
pub(super) async fn read(
    store: &dyn FileStore,
    taken: &Taken,
    size: u64,
    split: &Split,
) -> Result<Option<Checkpoint>, Fault> {
    let content = match store.read(&path(&taken.file.path), 0).await {
        Ok(content) => content,
        Err(fault) if fault.code() == FaultCode::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let mut bytes = Vec::new();
    let read = content.take(BYTES_MAX).read_to_end(&mut bytes).await;
    read.map_err(|error| {
        Fault::new(FaultCode::IncompleteBody, "The checkpoint cannot be read.").with_source(error)
    })?;
    let written = serde_json::from_slice::<Written>(&bytes).ok();
    let same = |written: &Written| {
        (written.size, written.modified, written.into) == (size, taken.file.modified, split.into)
    };
    let Some(written) = written.filter(same) else {
        tracing::warn!(file = %taken.file.path.escape_debug(), "the checkpoint is of another file or another `into`: the file starts over");
        store.delete(&path(&taken.file.path)).await?;
        return Ok(None);
    };
    Ok(Some(Checkpoint {
        index: written.index,
        place: Place {
            offset: written.offset,
            context: percent_decode_str(&written.context).collect::<Vec<u8>>().into(),
        },
        set_aside: written.set_aside,
    }))
}

/// Writes the checkpoint of a file.
pub(super) async fn write(
    store: &dyn FileStore,
    taken: &Taken,
    size: u64,
    split: &Split,
    checkpoint: &Checkpoint,
) -> Result<(), Fault> {
    let written = Written {
        size,
        modified: taken.file.modified,
        into: split.into,
        index: checkpoint.index,
        offset: checkpoint.place.offset,
        context: percent_encode(&checkpoint.place.context, NON_ALPHANUMERIC).to_string(),
        set_aside: checkpoint.set_aside,
    };
    let text = serde_json::to_string(&written).map_err(|error| Fault::internal(error.to_string()))?;
    let path = path(&taken.file.path);
    store
        .write(&path, full(Bytes::from(text)), Existing::Replace)
        .await
        .map(drop)
}
